import torch
from torch import nn


class Decoder(nn.Module):
    def __init__(self, length):
        super().__init__()
        causal_attention_mask = torch.full((length, length), -10000.0)
        causal_attention_mask.triu_(1)
        self.register_buffer("causal_attention_mask", causal_attention_mask)

    def forward(self, scores):
        return torch.softmax(scores + self.causal_attention_mask, dim=-1)
