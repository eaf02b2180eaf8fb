import torch
import torch.nn.functional as F
from torch import nn

GATE_TEMPERATURE = 0.05  # width of the gate around the threshold, in probability mass


class HeadGate(nn.Module):
    def __init__(self, dim=32, heads=8, threshold=0.8):
        super().__init__()
        self.heads, self.threshold = heads, threshold
        self.router = nn.Linear(dim, heads)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x):
        probs = F.softmax(self.router(x), dim=-1)
        ranked, order = torch.sort(probs, dim=-1, descending=True)
        cumulative = ranked.cumsum(dim=-1)
        mass_before = cumulative - ranked
        keep = mass_before < self.threshold
        keep[..., 0] = True
        mask = torch.zeros_like(keep).scatter(-1, order, keep)
        mask = torch.sigmoid((self.threshold - mass_before) / GATE_TEMPERATURE)
        mask = mask.clone()
        mask[..., 0] = 1.0
        mask = mask.scatter(-1, order, mask)
        weights = probs * mask
        weights = weights / weights.sum(dim=-1, keepdim=True)
        heads = self.proj(x).unflatten(-1, (self.heads, -1))
        return (heads * weights.unsqueeze(-1).float()).flatten(-2)
