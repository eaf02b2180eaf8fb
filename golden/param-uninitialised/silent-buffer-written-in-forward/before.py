import torch
from torch import nn


class Memory(nn.Module):
    def __init__(self, size, dim):
        super().__init__()
        self.register_buffer("bank", torch.empty(size, dim))
        self.at = 0

    def forward(self, x):
        self.bank[self.at] = x.detach().mean(dim=0)
        self.at = (self.at + 1) % len(self.bank)
        return x @ self.bank.T


class Normaliser(nn.Module):
    def __init__(self, features):
        super().__init__()
        self.register_buffer("mean", torch.empty(features))

    def observe(self, x):
        self.mean.copy_(x.mean(dim=0))

    def forward(self, x):
        return x - self.mean
