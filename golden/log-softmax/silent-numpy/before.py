import numpy as np
import torch


def surprise(logits):
    probs = torch.softmax(logits, dim=-1).numpy()
    return -np.log(probs)
