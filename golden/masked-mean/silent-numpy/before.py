import numpy as np
import torch


def f(x, mask):
    x = np.asarray(x)
    return (x * mask).sum() / mask.sum()


def g(x):
    return torch.as_tensor(f(x, x > 0))
