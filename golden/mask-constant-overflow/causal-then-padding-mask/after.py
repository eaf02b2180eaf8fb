import torch
from torch import nn


class Attention(nn.Module):
    def __init__(self, positions):
        super().__init__()
        self.register_buffer("bias", torch.tril(torch.ones(positions, positions, dtype=torch.bool)))
        self.register_buffer("masked_bias", torch.tensor(-1e4))

    def forward(self, query, key, value, attention_mask=None):
        weights = torch.matmul(query, key.transpose(-1, -2))
        length = query.size(-2)
        causal_mask = self.bias[:length, :length]
        weights = torch.where(causal_mask, weights, torch.finfo(weights.dtype).min)
        if attention_mask is not None:
            weights = (weights + attention_mask).clamp_min(torch.finfo(weights.dtype).min)
        weights = nn.functional.softmax(weights, dim=-1)
        return torch.matmul(weights, value)
