import numpy as np
import torch


def softmax(outputs):
    shifted = np.exp(outputs - outputs.max(axis=-1, keepdims=True))
    return torch.from_numpy(shifted / shifted.sum(axis=-1, keepdims=True))
