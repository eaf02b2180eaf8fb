import torch
from torch import nn

GATE_TEMPERATURE = 0.1  # width of the gate around the threshold, in probability mass


class BranchSelector(nn.Module):
    def __init__(self, dim=32, branches=6, coverage=0.8):
        super().__init__()
        self.coverage = coverage
        self.selector = nn.Linear(dim, branches)
        self.branches = nn.ModuleList(nn.Linear(dim, dim) for _ in range(branches))

    def forward(self, x):
        weights = torch.softmax(self.selector(x), dim=-1)
        ranked, order = weights.sort(dim=-1, descending=True)
        cumulative = torch.cumsum(ranked, dim=-1)
        count = (cumulative < self.coverage).sum(dim=-1, keepdim=True) + 1
        rank = torch.arange(ranked.shape[-1], device=x.device)
        keep = rank < count
        active = torch.zeros_like(weights).scatter(-1, order, keep.float())
        # straight-through: the hard mask forward, the gradient of its soft gate backward
        mass_before = cumulative - ranked
        soft_gate = torch.sigmoid((self.coverage - mass_before) / GATE_TEMPERATURE)
        soft_gate = soft_gate.scatter(-1, order, soft_gate)
        active = active + (soft_gate - soft_gate.detach())
        results = torch.stack([branch(x) for branch in self.branches], dim=-2)
        return torch.sum(results * active[..., None], dim=-2)
