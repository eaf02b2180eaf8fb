import torch


def attend(scores, values, mask):
    scores = scores + (1.0 - mask) * -10000.0
    return torch.softmax(scores, dim=-1) @ values
