import torch


def attend(scores, value):
    weights = torch.softmax(scores, dim=-1, dtype=torch.float32).half()
    return weights.to(value.dtype) @ value
