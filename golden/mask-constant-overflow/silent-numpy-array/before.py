import numpy as np
import torch


def spans(start, undesired):
    start = np.asarray(start)
    start = np.where(undesired, -10000.0, start)
    start = np.exp(start - start.max(axis=-1, keepdims=True))
    return torch.from_numpy(start)
