import torch
import torch.nn as nn
import torch.nn.functional as F


class Router(nn.Module):
    """Sends every token to one expert."""

    def __init__(self, d_model, n_experts):
        super().__init__()
        self.gate = nn.Linear(d_model, n_experts)

    def forward(self, x):
        logits = self.gate(x)
        probs = F.softmax(logits, dim=-1)
        weight, index = probs.max(dim=-1)
        return weight, index


class SwitchFeedForward(nn.Module):
    def __init__(self, d_model, d_ff, n_experts):
        super().__init__()
        self.router = Router(d_model, n_experts)
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(d_model, d_ff), nn.ReLU(), nn.Linear(d_ff, d_model)) for _ in range(n_experts)
        )

    def forward(self, x):
        shape = x.shape
        x = x.view(-1, shape[-1])
        weight, index = self.router(x)
        out = x.new_zeros(x.shape)
        for i, expert in enumerate(self.experts):
            mask = index == i
            if mask.any():
                out[mask] = weight[mask].unsqueeze(-1) * expert(x[mask])
        return out.view(shape)
