import torch
from torch import nn


class ExpertGate(nn.Module):
    def __init__(self, dim=16, experts=4):
        super().__init__()
        self.gate = nn.Linear(dim, experts)

    def forward(self, x):
        logits = self.gate(x)
        top_logits, index = logits.topk(k=1, dim=-1)
        weights = torch.softmax(top_logits, dim=-1)
        z_loss = top_logits.logsumexp(dim=-1).square().mean()
        return weights, index, z_loss
