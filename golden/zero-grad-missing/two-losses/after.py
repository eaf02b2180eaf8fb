import torch
from torch import nn


class Autoencoder(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.encoder = nn.Linear(width, 8)
        self.decoder = nn.Linear(8, width)

    def forward(self, x):
        z = torch.tanh(self.encoder(x))
        return self.decoder(z), z


def main(loader, width=64):
    model = Autoencoder(width)
    optimizer = torch.optim.RMSprop(model.parameters(), lr=1e-4)
    for x in loader:
        reconstruction, z = model(x)
        penalty = z.abs().mean()
        optimizer.zero_grad(set_to_none=True)
        penalty.backward(retain_graph=True)
        error = (reconstruction - x).square().mean()
        error.backward()
        optimizer.step()
