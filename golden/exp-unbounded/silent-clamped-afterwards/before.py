import torch
from torch import nn


class Scale(nn.Module):
    def __init__(self):
        super().__init__()
        self.logit_scale = nn.Parameter(torch.ones([]))

    def forward(self, logits):
        return logits * torch.clamp(self.logit_scale.exp(), max=100)
