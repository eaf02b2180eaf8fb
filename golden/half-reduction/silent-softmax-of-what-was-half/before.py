import torch


def attend(q, k):
    scores = q.half() @ k.half().transpose(-1, -2)
    return torch.softmax(scores, dim=-1)
