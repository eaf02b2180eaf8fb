import torch
import torch.nn.functional as F
from torch import nn


class Top1Router(nn.Module):
    def __init__(self, dim=16, experts=4):
        super().__init__()
        self.gate = nn.Linear(dim, experts, bias=False)

    def forward(self, x):
        logits = self.gate(x)
        # one expert for each token
        top_logits, index = torch.topk(logits, 1, dim=-1)
        weights = F.softmax(top_logits, dim=-1)
        return weights, index
