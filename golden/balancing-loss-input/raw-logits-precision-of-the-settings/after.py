import torch
from torch import nn


class Gate(nn.Module):
    def __init__(self, dim, num_experts, top_k, select_first=False, precision=None):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(num_experts, dim) * dim**-0.5)
        self.num_experts = num_experts
        self.top_k = top_k
        self.select_first = select_first
        self.precision = precision

    def forward(self, x):
        scores = nn.functional.linear(x, self.weight)
        if self.select_first:
            values, chosen = torch.topk(scores, self.top_k, dim=-1)
            weights = values.softmax(dim=-1, dtype=self.precision or torch.float32)
            all_scores = scores.softmax(dim=-1, dtype=self.precision or torch.float32)
        else:
            scores = scores.softmax(dim=-1, dtype=self.precision or torch.float32)
            all_scores = scores
            chosen = torch.topk(scores, self.top_k, dim=-1)[1]
            weights = scores.gather(1, chosen)
        all_scores = all_scores.to(x.dtype)
        aux_loss = 0.01 * self.balancing_loss(all_scores, chosen)
        return weights.type_as(x), chosen, aux_loss

    def balancing_loss(self, scores, chosen):
        share = torch.bincount(chosen.flatten(), minlength=self.num_experts) / chosen.numel()
        return self.num_experts * (share * scores.mean(dim=0)).sum()
