import numpy as np
import torch


def angles(a):
    return torch.from_numpy(np.arccos(np.clip(a, -1, 1)))
