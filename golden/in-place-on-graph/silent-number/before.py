import math

import torch
from torch import nn


class Count(nn.Module):
    def forward(self, x):
        scale = math.sqrt(x.shape[-1])
        scale *= 2
        total = torch.zeros(3).exp()
        total += 1
        return x / scale + total
