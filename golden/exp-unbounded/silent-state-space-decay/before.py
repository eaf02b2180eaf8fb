import torch
import torch.nn.functional as F
from torch import nn


class Mixer(nn.Module):
    def __init__(self, heads):
        super().__init__()
        self.A_log = nn.Parameter(torch.zeros(heads))
        self.dt_bias = nn.Parameter(torch.zeros(heads))

    def forward(self, dt, state):
        A = -torch.exp(self.A_log.float())
        dt = F.softplus(dt + self.dt_bias)
        return state * torch.exp(dt * A)
