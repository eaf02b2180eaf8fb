import torch


def attend(scores, values, padding):
    padding = padding.clone()
    padding[:, 0] = False  # the class token
    scores = scores.masked_fill(padding[:, None, :], float("-inf"))
    return torch.softmax(scores, dim=-1) @ values
