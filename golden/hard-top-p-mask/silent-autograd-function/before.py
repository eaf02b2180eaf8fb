import torch
from torch import nn


class HardGate(torch.autograd.Function):
    @staticmethod
    def forward(ctx, scores, mask):
        return mask.to(scores.dtype)

    @staticmethod
    def backward(ctx, grad):
        return grad, None


class ExpertRouter(nn.Module):
    def __init__(self, dim=32, experts=4):
        super().__init__()
        self.gate = nn.Linear(dim, experts)

    def forward(self, x, outputs):
        probs = self.gate(x).softmax(dim=-1)
        ranked, order = probs.sort(dim=-1, descending=True)
        keep = ranked.cumsum(dim=-1) - ranked < 0.7
        mask = torch.zeros_like(keep).scatter(-1, order, keep)
        gate = HardGate.apply(probs, mask)
        return (outputs * gate.unsqueeze(-1) * mask.unsqueeze(-1)).sum(dim=-2)
