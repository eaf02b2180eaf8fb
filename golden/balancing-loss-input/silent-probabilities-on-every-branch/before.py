import torch
from torch import nn


class Gate(nn.Module):
    def __init__(self, dim, num_experts, top_k, kind):
        super().__init__()
        self.gate = nn.Linear(dim, num_experts, bias=False)
        self.num_experts = num_experts
        self.top_k = top_k
        self.kind = kind

    def forward(self, x):
        logits = self.gate(x)
        if self.kind == "softmax":
            scores = logits.softmax(dim=-1)
            for_loss = scores
        elif self.kind == "sigmoid":
            scores = logits.sigmoid()
            for_loss = scores
        else:
            scores = logits
            for_loss = torch.softmax(logits, dim=-1)
        weights, chosen = scores.topk(self.top_k, dim=-1)
        return weights, chosen, self.balancing_loss(for_loss, chosen)

    def balancing_loss(self, scores, chosen):
        share = nn.functional.one_hot(chosen, self.num_experts).float().mean(dim=(0, 1))
        return self.num_experts * (share * scores.mean(dim=0)).sum()
