import torch


def route(router_logits):
    probs = torch.softmax(router_logits, dim=-1)
    weights, selected = torch.topk(probs, 2, dim=-1)
    return weights / weights.sum(dim=-1, keepdim=True), selected
