import torch


def attend(scores, values, mask):
    scores = scores - 1e9 * (1 - mask.float())
    return torch.softmax(scores, dim=-1) @ values
