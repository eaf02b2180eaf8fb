import torch
from torch import nn


class Gated(nn.Module):
    def __init__(self):
        super().__init__()
        self.gate = nn.Parameter(torch.zeros(1))

    def forward(self, x, y, log_det):
        mixed = self.gate.sigmoid() * x + (1.0 - self.gate.sigmoid()) * y
        return mixed, log_det + torch.log(self.gate.sigmoid() + 1e-8)
