import torch
import torch.nn.functional as F


def f(x):
    scale = F.softplus(x) + 1e-3
    return (scale * torch.log(scale)).sum()
