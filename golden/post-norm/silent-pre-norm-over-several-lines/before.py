import torch
from torch import nn


class DecoderLayer(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.input_norm = RMSNorm(config.hidden_size)
        self.post_attention_norm = RMSNorm(config.hidden_size)
        self.self_attn = Attention(config)
        self.mlp = MLP(config)

    def forward(self, hidden_states, mask=None):
        residual = hidden_states
        hidden_states = self.self_attn(self.input_norm(hidden_states), mask)
        hidden_states = residual + hidden_states
        residual = hidden_states
        hidden_states = self.post_attention_norm(hidden_states)
        hidden_states = self.mlp(hidden_states)
        return residual + hidden_states


class RMSNorm(nn.Module):
    def __init__(self, dim, eps=1e-6):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.eps = eps

    def forward(self, x):
        return self.weight * x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps)


class Attention(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.inner = nn.MultiheadAttention(config.hidden_size, config.num_heads, batch_first=True)

    def forward(self, x, mask=None):
        return self.inner(x, x, x, attn_mask=mask)[0]


class MLP(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.up = nn.Linear(config.hidden_size, config.intermediate_size)
        self.down = nn.Linear(config.intermediate_size, config.hidden_size)

    def forward(self, x):
        return self.down(nn.functional.silu(self.up(x)))
