import numpy as np
import torch


def f(p):
    return torch.tensor(-(p * np.log(p)).sum())
