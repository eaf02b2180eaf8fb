import torch
from torch import nn


class RealNVP(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.s_net = nn.Sequential(nn.Linear(d, d), nn.ReLU(), nn.Linear(d, d))
        self.t_net = nn.Linear(d, d)

    def forward(self, x1, x2):
        s = self.s_net(x1).clamp(min=-10.0, max=10.0)
        t = self.t_net(x1)
        y2 = x2 * torch.exp(s) + t
        return x1, y2, s.sum(dim=1)

    def inverse(self, y1, y2):
        s, t = self.s_net(y1).clamp(min=-10.0, max=10.0), self.t_net(y1)
        x2 = (y2 - t) * (-s).exp()
        return y1, x2, -torch.sum(s, dim=1)
