import numpy as np
import torch


def f(x):
    return torch.from_numpy(np.sqrt((x**2).sum(-1)))
