import torch
from torch import nn


class Router(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.gate = nn.Linear(config.dim, config.num_experts, bias=False)
        self.top_k = config.top_k
        self.score_function = config.score_function

    def forward(self, x):
        logits = self.gate(x)
        weights, chosen = select_experts(logits, self.top_k, score_function=self.score_function)
        if self.score_function == "softmax":
            probs = torch.softmax(logits, dim=-1)
        else:
            probs = logits.sigmoid()
            probs = probs / probs.sum(dim=-1, keepdim=True)
        return weights, chosen, switch_loss(probs, chosen)

    def by_sigmoid(self, x):
        logits = self.gate(x)
        scores = logits.sigmoid()
        weights, chosen = torch.topk(scores, self.top_k, dim=-1)
        probs = scores / scores.sum(dim=-1, keepdim=True)
        return weights, chosen, switch_loss(probs, chosen), torch.softmax(logits, dim=-1)


def select_experts(logits, top_k, score_function="softmax"):
    scores = logits.softmax(dim=-1) if score_function == "softmax" else logits.sigmoid()
    return torch.topk(scores, top_k, dim=-1)


def switch_loss(probs, chosen):
    num_experts = probs.size(-1)
    share = nn.functional.one_hot(chosen, num_experts).float().mean(dim=(0, 1))
    return num_experts * (share * probs.mean(dim=0)).sum()
