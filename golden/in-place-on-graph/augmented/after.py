import torch
from torch import nn


class Attention(nn.Module):
    def forward(self, scores, value, head_mask=None):
        weights = scores.softmax(dim=-1)
        if head_mask is not None:
            weights = weights * head_mask
        return weights @ value
