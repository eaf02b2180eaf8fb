import torch
from torch import nn


class Scale(nn.Module):
    def forward(self, x, bias):
        y = torch.log(x.clamp_min(1e-6))
        y += bias
        z = nn.functional.gelu(x)
        z *= 2
        return y + z
