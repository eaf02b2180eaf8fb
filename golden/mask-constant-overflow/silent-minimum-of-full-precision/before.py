import torch


def attend(scores, values, mask):
    scores = scores.float() + (1.0 - mask) * torch.finfo(torch.float32).min
    return torch.softmax(scores, dim=-1) @ values
