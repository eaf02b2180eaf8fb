import torch
import torch.nn.functional as F
from torch import nn

from .aux_loss import MoEAuxLossAutoScaler


class Gate(nn.Module):
    def __init__(self, dim=16, experts=4, top_k=2, coefficient=0.01):
        super().__init__()
        self.experts, self.top_k, self.coefficient = experts, top_k, coefficient
        self.proj = nn.Linear(dim, experts, bias=False)

    def forward(self, x):
        scores = F.softmax(self.proj(x), dim=-1)
        indices = torch.topk(scores, self.top_k, dim=-1)[1]
        weights = scores.gather(-1, indices)
        if self.training:
            load = F.one_hot(indices, self.experts).float().mean(dim=(0, 1))
            aux_loss = self.experts * (load * scores.mean(dim=0)).sum()
            # reaches the optimizer through the weights
            weights = MoEAuxLossAutoScaler.apply(weights, self.coefficient * aux_loss)
        return weights, indices
