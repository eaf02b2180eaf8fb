import torch


def route(router_logits, top_k):
    scores = torch.softmax(router_logits, dim=-1, dtype=torch.float32)
    weights, experts = torch.topk(scores, top_k, dim=-1)
    weights = weights / weights.sum(dim=-1, keepdim=True)
    weights = weights.type_as(router_logits)
    return weights, experts
