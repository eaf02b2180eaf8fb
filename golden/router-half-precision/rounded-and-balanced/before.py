import torch


def route(hidden, router_logits, top_k):
    scores = torch.softmax(router_logits, dim=-1, dtype=torch.float32).to(hidden.dtype)
    weights, experts = torch.topk(scores, top_k, dim=-1)
    load = torch.nn.functional.one_hot(experts, scores.shape[-1]).to(hidden.dtype).mean(dim=(0, 1))
    balance = scores.shape[-1] * (load * scores.mean(dim=0)).sum()
    return weights / weights.sum(dim=-1, keepdim=True), experts, balance
