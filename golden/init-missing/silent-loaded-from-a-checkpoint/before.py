import torch
from torch import nn


class Encoder(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.proj = nn.Linear(dim, dim)

    def forward(self, x):
        return self.proj(x)


def encoder(path, dim):
    model = Encoder(dim)
    model.load_state_dict(torch.load(path))
    return model
