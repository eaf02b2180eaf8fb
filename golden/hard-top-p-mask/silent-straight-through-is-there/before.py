import torch
from torch import nn


class HeadRouter(nn.Module):
    def __init__(self, dim=32, heads=8, p=0.7, tau=0.1):
        super().__init__()
        self.p, self.tau = p, tau
        self.router = nn.Linear(dim, heads)

    def forward(self, x, heads):
        probs = self.router(x).softmax(dim=-1)
        ranked, order = probs.sort(dim=-1, descending=True)
        before = ranked.cumsum(dim=-1) - ranked
        hard = (before < self.p).float()
        soft = torch.sigmoid((self.p - before) / self.tau)
        gate = (hard - soft).detach() + soft
        gate = torch.zeros_like(probs).scatter(-1, order, gate)
        return (heads * gate.unsqueeze(-1)).sum(dim=-2)
