import torch
import torch.nn.functional as F


def f(x, labels):
    chosen_mask = F.one_hot(labels, 4)
    return (x * chosen_mask).sum(-1) / chosen_mask.sum(-1)
