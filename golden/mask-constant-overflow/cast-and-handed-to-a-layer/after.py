import torch
from torch import nn


class DecoderLayer(nn.Module):
    def __init__(self, self_attention, cross_attention):
        super().__init__()
        self.self_attention = self_attention
        self.cross_attention = cross_attention

    def forward(self, hidden_states, encoded, encoder_mask):
        hidden_states = self.self_attention(hidden_states)
        extended_attention_mask = torch.where(encoder_mask > 0, 0.0, torch.tensor(torch.finfo(encoded.dtype).min / 2, dtype=encoded.dtype, device=encoder_mask.device)).to(encoded.dtype)
        return self.cross_attention(hidden_states, encoded, attention_mask=extended_attention_mask)
