import torch
import torch.nn.functional as F
from torch import nn


class Head(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm = nn.LayerNorm(width, eps=1e-12)

    def forward(self, x):
        with torch.autocast("cuda", dtype=torch.float16):
            return F.normalize(self.norm(x), dim=-1, eps=1e-12)
