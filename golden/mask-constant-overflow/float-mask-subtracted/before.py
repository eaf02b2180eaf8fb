import torch


def attend(scores, values, mask):
    scores = scores - 1e9 * (1 - mask.to(scores.dtype))
    return torch.softmax(scores, dim=-1) @ values
