import numpy as np
import torch


def f(a, b):
    return torch.tensor(np.linalg.inv(a) @ b)
