import torch
import torch.nn.functional as F
from torch import nn


class Coupling(nn.Module):
    def forward(self, x):
        shift, log_s = self.net(x).chunk(2, -1)
        z = x * torch.exp(log_s) + shift
        logdet = log_s.sum(-1)
        return z, logdet
