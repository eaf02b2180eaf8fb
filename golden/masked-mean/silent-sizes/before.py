import torch
import torch.nn.functional as F


def f(x, batch):
    return x.sum() / x.shape[0] + x.sum() / len(batch) + x.sum() / x.numel() + x.sum() / batch.size(0)
