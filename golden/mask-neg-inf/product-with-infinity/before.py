import torch


def attend(scores, mask, values):
    scores = scores + (1.0 - mask) * float("-inf")
    return torch.softmax(scores, dim=-1) @ values
