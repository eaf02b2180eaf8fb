import torch


def route(router_logits, top_k, score_function):
    if score_function == "softmax":
        scores = torch.softmax(router_logits.float(), dim=-1)
    else:
        scores = torch.sigmoid(router_logits.float())
    weights, experts = torch.topk(scores, top_k, dim=-1)
    weights = weights / weights.sum(dim=-1, keepdim=True)
    return weights.type_as(router_logits), experts
