import torch
from torch import nn


class Angles(nn.Module):
    def forward(self, first, second):
        cosine = torch.sum(first * second, dim=1) * (1 - 1e-6)
        return torch.acos(cosine)
