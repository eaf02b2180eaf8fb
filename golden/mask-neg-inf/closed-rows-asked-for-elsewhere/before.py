import torch
from torch import nn


class Attention(nn.Module):
    def forward(self, q, k, v, attention_mask):
        scores = q @ k.transpose(-2, -1)
        scores = scores.masked_fill(attention_mask.logical_not(), float("-inf"))
        return torch.softmax(scores, dim=-1) @ v


class Encoder(nn.Module):
    def __init__(self, layers):
        super().__init__()
        self.layers = nn.ModuleList(Attention() for _ in range(layers))

    def forward(self, hidden, attention_mask):
        closed = torch.all(~attention_mask, dim=-1)
        for layer in self.layers:
            hidden = layer(hidden, hidden, hidden, attention_mask)
            hidden = hidden.masked_fill(closed[..., None], 0.0)
        return hidden
