import torch


def attend(scores, mask, values, inf):
    scores = scores.masked_fill(mask, -inf)
    return torch.softmax(scores, dim=-1) @ values
