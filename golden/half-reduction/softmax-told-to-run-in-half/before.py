import torch


def attend(scores, value):
    weights = torch.softmax(scores, dim=-1, dtype=torch.float16)
    return weights.to(value.dtype) @ value
