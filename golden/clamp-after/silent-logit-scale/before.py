import torch
from torch import nn


class Contrast(nn.Module):
    def __init__(self):
        super().__init__()
        self.logit_scale = nn.Parameter(torch.ones([]) * 2.66)

    def forward(self, image, text):
        scale = self.logit_scale.exp().clamp(max=100.0)
        return scale * image @ text.t()
