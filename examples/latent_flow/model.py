"""A normalising flow over latent trajectory states, and the encoder that feeds it."""

import torch
from torch import nn


class Encoder(nn.Module):
    """Summarises an observed trajectory as a Gaussian over its latent state."""

    def __init__(self, observed, latent, hidden=32):
        super().__init__()
        self.rnn = nn.GRU(observed, hidden, batch_first=True)
        self.head = nn.Linear(hidden, 2 * latent)

    def forward(self, trajectory):
        _, state = self.rnn(trajectory)
        mean, logvar = self.head(state[-1]).chunk(2, dim=-1)
        std = torch.exp(0.5 * logvar)
        latent = mean + std * torch.randn_like(std)
        kl = 0.5 * (mean.pow(2) + logvar.exp() - 1.0 - logvar).sum(-1)
        return latent, kl


class Coupling(nn.Module):
    """Affine coupling: scales and shifts one half of the state by functions of the other half."""

    def __init__(self, dim, hidden, flip):
        super().__init__()
        self.flip = flip
        self.net = nn.Sequential(nn.Linear(dim // 2, hidden), nn.ReLU(), nn.Linear(hidden, dim))

    def forward(self, x):
        a, b = x.chunk(2, dim=-1)
        if self.flip:
            a, b = b, a
        log_s, shift = self.net(a).chunk(2, dim=-1)
        b = b * torch.exp(log_s) + shift
        y = torch.cat([b, a] if self.flip else [a, b], dim=-1)
        return y, log_s.sum(dim=-1)


class Flow(nn.Module):
    """A stack of couplings; `log_prob` is exact by the change of variables."""

    def __init__(self, dim, hidden=64, depth=6):
        super().__init__()
        self.layers = nn.ModuleList(Coupling(dim, hidden, flip=i % 2 == 1) for i in range(depth))

    def log_prob(self, x):
        total = x.new_zeros(x.shape[0])
        for layer in self.layers:
            x, log_det = layer(x)
            total = total + log_det
        return total - 0.5 * x.pow(2).sum(dim=-1)
