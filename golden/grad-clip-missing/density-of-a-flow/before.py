import torch
from torch import nn


class Coupling(nn.Module):
    def __init__(self, dim, hidden=64):
        super().__init__()
        self.half = dim // 2
        self.net = nn.Sequential(nn.Linear(self.half, hidden), nn.ReLU(), nn.Linear(hidden, 2 * (dim - self.half)))

    def forward(self, x):
        left, right = x[:, : self.half], x[:, self.half :]
        scale, shift = self.net(left).chunk(2, dim=-1)
        return torch.cat([right * scale.exp() + shift, left], dim=-1), scale.sum(-1)


class Density(nn.Module):
    def __init__(self, dim, depth=4):
        super().__init__()
        self.layers = nn.ModuleList(Coupling(dim) for _ in range(depth))

    def log_prob(self, x):
        total = x.new_zeros(x.shape[0])
        for layer in self.layers:
            x, log_det = layer(x)
            total = total + log_det
        return total - 0.5 * x.pow(2).sum(-1)


def fit(loader, dim, epochs):
    density = Density(dim)
    optimizer = torch.optim.Adam(density.parameters(), lr=1e-3)
    for _ in range(epochs):
        for x in loader:
            loss = -density.log_prob(x).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
