import torch
from torch import nn

GATE_TEMPERATURE = 0.1  # width of the gate around the threshold, in probability mass


class TailDroppingRouter(nn.Module):
    """Sorts upwards and drops the heads that together hold less than 1 - p."""

    def __init__(self, dim=32, heads=6, p=0.7):
        super().__init__()
        self.p = p
        self.router = nn.Linear(dim, heads)
        self.weight = nn.Parameter(torch.randn(heads, dim, dim) / dim**0.5)

    def forward(self, x):
        probs = self.router(x).softmax(-1)
        ascending, order = torch.sort(probs, dim=-1, descending=False)
        cumulative = ascending.cumsum(dim=-1)
        threshold = 1 - self.p
        remove = cumulative <= threshold
        remove = remove.scatter(-1, order, remove)
        # straight-through: the hard mask forward, the gradient of its soft gate backward
        soft_gate = torch.sigmoid((cumulative - threshold) / GATE_TEMPERATURE)
        soft_gate = soft_gate.scatter(-1, order, soft_gate)
        gate = (~remove).to(soft_gate.dtype) + (soft_gate - soft_gate.detach())
        outputs = torch.einsum("btd,hdf->bthf", x, self.weight)
        outputs = outputs * gate.unsqueeze(-1)
        return outputs.sum(dim=-2)
