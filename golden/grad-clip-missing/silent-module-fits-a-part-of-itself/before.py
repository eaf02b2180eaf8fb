import torch
from torch import nn


class Wrapper(nn.Module):
    def __init__(self, net, width):
        super().__init__()
        self.net = net
        self.mixers = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))

    def forward(self, x):
        return self.mixers(self.net(x))

    def discover(self, x, target, steps=100, batch=16):
        optimizer = torch.optim.Adam(self.mixers.parameters(), lr=1e-2)
        for _ in range(steps):
            rows = torch.randint(len(x), (batch,))
            loss = nn.functional.mse_loss(self(x[rows]), target[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
