from math import inf

import torch as t
from torch import nn


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.softmax = nn.Softmax(dim=-1)

    def forward(self, query, key, value, key_padding_mask=None):
        energy = t.bmm(query, key.transpose(1, 2))
        if key_padding_mask is not None:
            energy.masked_fill_(key_padding_mask[:, None, :], t.finfo(energy.dtype).min)
        return t.bmm(self.softmax(energy), value)
