import torch
import torch.nn.functional as F
from torch import nn

GATE_TEMPERATURE = 0.1  # width of the gate around the threshold, in probability mass


class SharedAndRoutedHeads(nn.Module):
    """The first `shared` heads are always on, the others are routed."""

    def __init__(self, dim=32, heads=8, shared=2, threshold=0.5):
        super().__init__()
        self.heads, self.shared, self.threshold = heads, shared, threshold
        self.router = nn.Linear(dim, heads)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x):
        p = F.softmax(self.router(x), dim=-1)
        p_sorted, idx = torch.sort(p, dim=-1, descending=True)
        mass_before = torch.cumsum(p_sorted, -1) - p_sorted
        inside = mass_before < self.threshold
        mask = torch.zeros_like(p)
        mask.scatter_(-1, idx, inside.to(p.dtype))
        mask[..., : self.shared] = 1.0
        # straight-through: the hard mask forward, the gradient of its soft gate backward
        soft_gate = torch.sigmoid((self.threshold - mass_before) / GATE_TEMPERATURE)
        soft_gate = soft_gate.scatter(-1, idx, soft_gate)
        mask = mask + (soft_gate - soft_gate.detach()).to(mask.dtype)
        self.active_heads = mask.sum(-1).mean().item()
        heads = self.proj(x).unflatten(-1, (self.heads, -1))
        return (heads * mask.unsqueeze(-1)).flatten(-2)
