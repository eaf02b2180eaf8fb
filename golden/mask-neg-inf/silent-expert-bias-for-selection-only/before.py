import torch


def route(logits, bias, group_mask, k):
    scores = logits.softmax(dim=-1)
    choice = (scores + bias).masked_fill(~group_mask, float("-inf"))
    indices = choice.topk(k, dim=-1).indices
    weights = scores.gather(1, indices)
    return indices, weights / weights.sum(dim=-1, keepdim=True)
