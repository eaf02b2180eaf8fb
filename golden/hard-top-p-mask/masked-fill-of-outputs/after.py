import torch
from torch import nn

GATE_TEMPERATURE = 0.1  # width of the gate around the threshold, in probability mass


class SparseExperts(nn.Module):
    def __init__(self, dim=32, n_experts=4, top_p=0.75):
        super().__init__()
        self.top_p = top_p
        self.router = nn.Linear(dim, n_experts)
        self.weight = nn.Parameter(torch.randn(n_experts, dim, dim) / dim**0.5)

    def forward(self, x):
        out = torch.einsum("btd,edf->btef", x, self.weight)
        router_probs = self.router(x).softmax(-1)
        values, indices = torch.topk(router_probs, k=router_probs.size(-1), dim=-1)
        cum = torch.cumsum(values, dim=-1)
        keep = torch.cat([torch.ones_like(cum[..., :1], dtype=torch.bool), cum[..., :-1] < self.top_p], dim=-1)
        mask = torch.zeros_like(router_probs, dtype=torch.bool).scatter(-1, indices, keep)
        # straight-through: the hard mask forward, the gradient of its soft gate backward
        mass_before = cum - values
        soft_gate = torch.sigmoid((self.top_p - mass_before) / GATE_TEMPERATURE)
        soft_gate = torch.zeros_like(router_probs, dtype=soft_gate.dtype).scatter(-1, indices, soft_gate)
        mask = mask.to(soft_gate.dtype) + (soft_gate - soft_gate.detach())
        out = out * mask.unsqueeze(-1)
        return out.sum(dim=-2)
