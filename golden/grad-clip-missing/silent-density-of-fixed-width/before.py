import torch
from torch import nn

from project import Encoder


class Regression(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.encoder = Encoder(width)
        self.mean = nn.Linear(width, 1)

    def forward(self, x):
        return torch.distributions.Normal(self.mean(self.encoder(x)), 1.0)


def train(loader, width, epochs=10):
    model = Regression(width)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(epochs):
        for x, y in loader:
            loss = -model(x).log_prob(y).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model
