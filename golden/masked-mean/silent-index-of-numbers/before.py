import torch
import torch.nn.functional as F


def f(x, order):
    index = torch.argsort(order)[:4]
    return x[index].mean()
