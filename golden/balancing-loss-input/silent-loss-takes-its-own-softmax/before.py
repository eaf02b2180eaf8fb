import torch
from torch import nn


class Gate(nn.Module):
    def __init__(self, dim, num_experts, top_k, normalise=True):
        super().__init__()
        self.gate = nn.Linear(dim, num_experts, bias=False)
        self.num_experts = num_experts
        self.top_k = top_k
        self.normalise = normalise

    def forward(self, x):
        logits = self.gate(x)
        weights, chosen = logits.softmax(dim=-1).topk(self.top_k, dim=-1)
        return weights, chosen, self.load_balancing_loss(logits, chosen)

    def load_balancing_loss(self, logits, chosen):
        probs = torch.softmax(logits, dim=-1)
        share = nn.functional.one_hot(chosen, self.num_experts).float().mean(dim=(0, 1))
        return self.num_experts * (share * probs.mean(dim=0)).sum()


def balancing_loss(scores, chosen, experts):
    share = nn.functional.one_hot(chosen, experts).float().mean(dim=(0, 1))
    return experts * (share * scores.mean(dim=0)).sum()


def routed(gate, x, top_k, experts):
    scores = nn.functional.linear(x, gate.weight).softmax(dim=-1)
    weights, chosen = scores.topk(top_k, dim=-1)
    return weights, chosen, balancing_loss(scores, chosen, experts)
