import torch
from torch import nn


class Head(nn.Module):
    def __init__(self, dim, n_fft):
        super().__init__()
        self.out = nn.Linear(dim, n_fft + 2)

    def forward(self, x):
        mag, p = self.out(x).chunk(2, dim=-1)
        mag = torch.exp(mag)
        mag = torch.clip(mag, max=1e2)  # safeguard against excessively large magnitudes
        return mag * torch.cos(p), mag * torch.sin(p)
