import torch
import torch.nn.functional as F
from torch import nn


class SoftMoE(nn.Module):
    """Experts run on mixtures of the tokens, a fixed number of slots each."""

    def __init__(self, dim, num_experts=8, slots=4):
        super().__init__()
        self.router = nn.Parameter(torch.randn(dim, num_experts, slots) * dim**-0.5)
        self.experts = nn.ModuleList([nn.Linear(dim, dim) for _ in range(num_experts)])

    def forward(self, x):
        logits = torch.einsum("bnd,des->bnes", x, self.router)
        mixed = torch.einsum("bnd,bnes->besd", x, logits.softmax(dim=1))
        outputs = torch.stack([expert(mixed[:, e]) for e, expert in enumerate(self.experts)], dim=1)
        combine = logits.flatten(2).softmax(dim=-1).view_as(logits)
        return torch.einsum("besd,bnes->bnd", outputs, combine)
