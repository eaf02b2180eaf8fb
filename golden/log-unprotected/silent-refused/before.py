import torch


def inverse(inputs):
    if torch.min(inputs) <= -1 or torch.max(inputs) >= 1:
        raise ValueError("inputs must lie between -1 and 1")
    return -torch.log(1 - inputs**2)
