import torch
import torch.nn as nn


class Mixture(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.pi = nn.Parameter(torch.ones(n) / n)

    def regulariser(self):
        return (self.pi * torch.log(self.pi.clamp_min(torch.finfo(self.pi.dtype).tiny))).sum()
