import torch
import torch.nn.functional as F
from torch import nn


class Reader(nn.Module):
    def __init__(self, width=64, classes=10):
        super().__init__()
        self.encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(width, 4, batch_first=True), 2)
        self.head = nn.Linear(width, classes)

    def forward(self, x):
        return self.head(self.encoder(x).mean(1))


def train(model, loader, optimizer):
    for x, y in loader:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()


def main(loader, epochs, lr):
    model = Reader()
    optimizer = torch.optim.Adadelta(model.parameters(), lr=lr)
    for _ in range(epochs):
        train(model, loader, optimizer)
