import torch


def choose(logits, values, mask, temperature):
    logits = logits.masked_fill(mask, float("-inf"))
    weights = torch.softmax(logits / temperature, dim=-1)
    return weights @ values
