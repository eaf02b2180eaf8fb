import torch


def route_tokens(logits, topk, use_pre_softmax=False):
    if use_pre_softmax:
        probs, top_indices = torch.topk(torch.softmax(logits, dim=-1), k=topk, dim=1)
    else:
        scores, top_indices = torch.topk(logits, k=topk, dim=1)
        probs = torch.softmax(scores, dim=-1)
    return probs, top_indices


def route_or_one(router_logits, top_k):
    if top_k == 1:
        return torch.softmax(router_logits, dim=-1).max(dim=-1, keepdim=True)
    top, index = torch.topk(router_logits, k=top_k, dim=-1)
    return torch.softmax(top, dim=-1), index
