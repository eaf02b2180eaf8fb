import torch
from torch import nn


class GroupLimitedRouter(nn.Module):
    """Two groups of experts are chosen first; their scores are the weights."""

    def __init__(self, dim=32, experts=8, groups=4):
        super().__init__()
        self.experts, self.groups = experts, groups
        self.gate = nn.Linear(dim, experts)

    def forward(self, x):
        router_logits = self.gate(x)
        scores = router_logits.sigmoid()
        group_scores = scores.unflatten(-1, (self.groups, -1)).topk(2, dim=-1)[0].sum(dim=-1)
        group_index = torch.topk(group_scores, k=2, dim=-1)[1]
        group_mask = torch.zeros_like(group_scores)
        group_mask.scatter_(-1, group_index, 1)
        allowed = group_mask.unsqueeze(-1).expand(*group_mask.shape, self.experts // self.groups).flatten(-2)
        choice = scores * allowed
        index = torch.topk(choice, k=2, dim=-1)[1]
        return index, scores.gather(-1, index)
