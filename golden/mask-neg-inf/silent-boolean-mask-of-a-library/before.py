import torch
from torch import nn

from .masking import create_bidirectional_mask


class Attention(nn.Module):
    def forward(self, query, key, value, attention_mask=None):
        scores = torch.bmm(query, key.transpose(1, 2))
        if attention_mask is not None:
            if attention_mask.dtype == torch.bool:
                attention_mask = torch.zeros_like(attention_mask, dtype=scores.dtype).masked_fill_(
                    attention_mask, -torch.inf
                )
            scores = scores + attention_mask
        return torch.bmm(torch.softmax(scores, dim=-1), value)


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = Attention()

    def forward(self, states, attention_mask):
        mask = create_bidirectional_mask(states, attention_mask)
        return self.attention(states, states, states, attention_mask=mask)
