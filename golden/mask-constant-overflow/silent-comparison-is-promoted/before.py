import torch


def attend(scores, values, mask):
    scores = scores + -1e9 * (mask == 0)
    return torch.softmax(scores, dim=-1) @ values
