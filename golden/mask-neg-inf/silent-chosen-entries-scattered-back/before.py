import torch


def gate(logits, k):
    values, indices = logits.topk(k, dim=-1)
    kept = torch.full_like(logits, float("-inf")).scatter(-1, indices, values)
    return torch.softmax(kept, dim=-1)
