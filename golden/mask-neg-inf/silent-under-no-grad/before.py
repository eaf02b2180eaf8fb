import torch


@torch.no_grad()
def score(logits, mask):
    logits = logits.masked_fill(mask, float("-inf"))
    return torch.softmax(logits, dim=-1)
