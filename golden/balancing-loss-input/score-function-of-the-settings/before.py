import torch
from torch import nn


class Router(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.gate = nn.Linear(config.dim, config.num_experts, bias=False)
        self.top_k = config.top_k
        self.score_function = config.score_function

    def aux_loss_routing(self, x):
        logits = self.gate(x)
        weights, chosen = select_experts(logits, self.top_k, score_function=self.score_function)
        probs = torch.softmax(logits, dim=-1, dtype=torch.float32)
        return weights, chosen, switch_loss(probs, chosen)


def select_experts(logits, top_k, score_function="softmax"):
    scores = logits.float().softmax(dim=-1) if score_function == "softmax" else logits.float().sigmoid()
    return torch.topk(scores, top_k, dim=-1)


def switch_loss(probs, chosen):
    num_experts = probs.size(-1)
    share = nn.functional.one_hot(chosen, num_experts).float().mean(dim=(0, 1))
    return num_experts * (share * probs.mean(dim=0)).sum()
