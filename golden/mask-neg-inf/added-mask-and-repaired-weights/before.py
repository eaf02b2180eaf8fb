import torch


def attend(scores, values, padding):
    bias = torch.zeros_like(scores).masked_fill(padding, float("-inf"))
    weights = torch.softmax(scores + bias, dim=-1)
    weights = torch.nan_to_num(weights)
    return weights @ values
