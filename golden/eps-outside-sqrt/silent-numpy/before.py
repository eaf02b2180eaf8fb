import numpy as np
import torch


def features(x):
    return torch.from_numpy(x / (np.sqrt(np.var(x, 0)) + 1e-6))
