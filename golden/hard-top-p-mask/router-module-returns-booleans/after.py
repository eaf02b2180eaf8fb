import torch
from torch import nn

GATE_TEMPERATURE = 0.1  # width of the gate around the threshold, in probability mass


class HeadRouter(nn.Module):
    def __init__(self, dim, heads, p):
        super().__init__()
        self.linear = nn.Linear(dim, heads)
        self.p = p

    def forward(self, x):
        probs = torch.softmax(self.linear(x), dim=-1)
        sorted_probs, order = torch.sort(probs, descending=True, dim=-1)
        mass_before = sorted_probs.cumsum(-1).sub(sorted_probs)
        keep = mass_before.lt(self.p)
        mask = torch.zeros_like(keep).scatter(-1, order, keep)
        # straight-through: the hard mask forward, the gradient of its soft gate backward
        soft_gate = torch.sigmoid((self.p - mass_before) / GATE_TEMPERATURE)
        soft_gate = soft_gate.scatter(-1, order, soft_gate)
        gate = mask.to(soft_gate.dtype) + (soft_gate - soft_gate.detach())
        return gate


class HeadMixture(nn.Module):
    def __init__(self, dim=32, heads=4):
        super().__init__()
        self.router = HeadRouter(dim, heads, 0.6)
        self.weight = nn.Parameter(torch.randn(heads, dim, dim) / dim**0.5)

    def forward(self, x):
        active = self.router(x)
        outputs = torch.einsum("btd,hdf->bthf", x, self.weight)
        return (outputs * active.unsqueeze(-1)).sum(dim=-2)
