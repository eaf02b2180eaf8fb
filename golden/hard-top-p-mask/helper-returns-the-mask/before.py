import torch
from torch import nn


def top_p_gate(probs, p):
    """1 for the experts whose preceding probability mass lies below p."""
    sorted_probs, order = probs.sort(dim=-1, descending=True)
    keep = (sorted_probs.cumsum(-1) - sorted_probs < p).float()
    return torch.zeros_like(probs).scatter(-1, order, keep)


class MoELayer(nn.Module):
    def __init__(self, dim=32, experts=4):
        super().__init__()
        self.router = nn.Linear(dim, experts)
        self.experts = nn.ModuleList(nn.Linear(dim, dim) for _ in range(experts))

    def forward(self, x):
        gates = top_p_gate(self.router(x).softmax(-1), 0.6)
        outputs = torch.stack([e(x) for e in self.experts], -1)
        return (outputs * gates.unsqueeze(-2)).sum(-1)
