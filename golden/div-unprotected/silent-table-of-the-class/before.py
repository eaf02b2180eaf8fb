import torch
from torch import nn


def polar_grid(size):
    axis = torch.linspace(-1, 1, size)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    return {"rho": (x**2 + y**2).sqrt(), "phi": torch.atan2(y, x)}


class PolarEmbedding(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.grid = polar_grid(size)
        self.register_buffer("weight", self.gaussian(1.0))

    def gaussian(self, sigma):
        rho = self.grid["rho"] / self.grid["rho"].max()
        return torch.exp(-(rho**2) / sigma**2)

    def forward(self, patch):
        return patch * self.weight
