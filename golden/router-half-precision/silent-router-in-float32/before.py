import torch
import torch.nn.functional as F
from torch import nn


class Router(nn.Module):
    """The logits are float32 from the start."""

    def __init__(self, dim=16, experts=4, score_function="softmax"):
        super().__init__()
        self.score_function = score_function
        self.weight = nn.Parameter(torch.randn(experts, dim) * dim**-0.5)

    def forward(self, x):
        router_logits = F.linear(x.type(torch.float32), self.weight.type(torch.float32))
        if self.score_function == "softmax":
            scores = torch.softmax(router_logits, dim=-1, dtype=torch.float32)
        else:
            scores = router_logits.sigmoid()
        weights, experts = torch.topk(scores, 2, dim=-1)
        return weights.to(x.dtype), experts
