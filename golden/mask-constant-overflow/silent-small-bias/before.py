import torch


def attend(scores, values, distance):
    scores = scores + distance * -100.0
    return torch.softmax(scores, dim=-1) @ values
