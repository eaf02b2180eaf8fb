import torch


def choose(logits, values, mask, temperature):
    logits = logits.masked_fill(mask, torch.finfo(logits.dtype).min)
    weights = torch.softmax((logits / temperature).clamp_min(torch.finfo(logits.dtype).min), dim=-1)
    return weights @ values
