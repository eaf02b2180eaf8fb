import torch
from torch import nn


class RelativeAttention(nn.Module):
    def forward(self, query, key, value, position, queries_kept, keys_kept, attend):
        kept = queries_kept[:, None, :, None] * keys_kept[:, None, None, :]
        scores = query @ position.transpose(-1, -2)
        scores = scores.masked_fill(kept == 0, torch.finfo(scores.dtype).min)
        return attend(self, query, key, value, attention_mask=scores)
