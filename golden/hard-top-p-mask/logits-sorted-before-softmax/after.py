import torch
import torch.nn.functional as F
from torch import nn

GATE_TEMPERATURE = 0.1  # width of the gate around the threshold, in probability mass


class LoraMixture(nn.Module):
    """A mixture of low-rank adapters, as many as the routing needs."""

    def __init__(self, dim=32, rank=2, adapters=5, top_p=0.7):
        super().__init__()
        self.top_p = top_p
        self.router = nn.Linear(dim, adapters)
        self.down = nn.Parameter(torch.randn(adapters, dim, rank) / dim**0.5)
        self.up = nn.Parameter(torch.randn(adapters, rank, dim) / rank**0.5)

    def forward(self, x):
        logits = self.router(x)
        sorted_logits, order = torch.sort(logits, dim=-1, descending=True)
        cumulative_probs = torch.cumsum(F.softmax(sorted_logits, dim=-1), dim=-1)
        drop = cumulative_probs > self.top_p
        drop[..., 1:] = drop[..., :-1].clone()
        drop[..., 0] = False
        gate = torch.zeros_like(drop).scatter(-1, order, ~drop)
        # straight-through: the hard mask forward, the gradient of its soft gate backward
        mass_before = cumulative_probs - F.softmax(sorted_logits, dim=-1)
        soft_gate = torch.sigmoid((self.top_p - mass_before) / GATE_TEMPERATURE)
        soft_gate = soft_gate.scatter(-1, order, soft_gate)
        gate = gate.to(soft_gate.dtype) + (soft_gate - soft_gate.detach())
        delta = torch.einsum("btd,adr,are->btae", x, self.down, self.up)
        return x + (delta * gate[..., None]).sum(dim=-2)
