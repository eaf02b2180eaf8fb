import torch
from torch import nn


class Encoder(nn.Module):
    @property
    def dtype(self):
        return next(self.parameters()).dtype

    def get_extended_attention_mask(self, attention_mask):
        extended = attention_mask[:, None, None, :]
        extended = extended.to(dtype=self.dtype)  # half precision
        extended = (1.0 - extended) * (torch.finfo(self.dtype).min / 2)
        return extended
