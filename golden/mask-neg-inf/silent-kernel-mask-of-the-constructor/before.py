import torch
import torch.nn.functional as F
from torch import nn


class LightConvolution(nn.Module):
    def __init__(self, heads, kernel_size):
        super().__init__()
        self.weight = nn.Parameter(torch.rand(heads, 1, kernel_size))
        self.kernel_mask = torch.ones(heads, 1, kernel_size)
        self.kernel_mask[:, :, kernel_size // 2 + 1 :] = 0.0

    def forward(self, x):
        self.kernel_mask = self.kernel_mask.to(x.device)
        weight = self.weight.masked_fill(self.kernel_mask == 0.0, float("-inf"))
        weight = F.softmax(weight, dim=-1)
        return F.conv1d(x, weight, groups=weight.size(0))
