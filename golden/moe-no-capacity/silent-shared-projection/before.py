import torch
import torch.nn.functional as F
from torch import nn


class Selector(nn.Module):
    """Keeps the highest scores of a sequence: there are no experts to send tokens to."""

    def __init__(self, dim, keep):
        super().__init__()
        self.keep = keep
        self.gate = nn.Linear(dim, 1)
        self.expert_norm = nn.LayerNorm(dim)

    def forward(self, x):
        scores = self.gate(x).squeeze(-1).softmax(dim=-1)
        weight, position = scores.topk(self.keep, dim=-1)
        kept = x.gather(1, position.unsqueeze(-1).expand(-1, -1, x.size(-1)))
        return self.expert_norm(weight.unsqueeze(-1) * kept)
