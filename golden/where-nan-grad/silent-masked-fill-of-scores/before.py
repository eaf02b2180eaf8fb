import torch


def f(scores, mask, scale):
    return (scores / 8.0).masked_fill(mask, torch.finfo(scores.dtype).min)
