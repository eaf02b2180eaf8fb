import torch
import torch.nn.functional as F
from torch import nn


class Pooling(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv1d(channels, channels, 1)

    def _length_to_mask(self, length, max_len=None, dtype=None):
        if max_len is None:
            max_len = length.max().long().item()
        mask = torch.arange(max_len, dtype=length.dtype).expand(len(length), max_len) < length.unsqueeze(1)
        return torch.as_tensor(mask, dtype=dtype)

    def forward(self, hidden):
        length = hidden.shape[-1]
        ones = torch.ones(hidden.shape[0], device=hidden.device)
        mask = self._length_to_mask(ones * length, max_len=length, dtype=hidden.dtype)
        mask = mask.unsqueeze(1)
        attention = self.conv(hidden)
        attention = attention.masked_fill(mask == 0, float("-inf"))
        return (F.softmax(attention, dim=2) * hidden).sum(dim=2)
