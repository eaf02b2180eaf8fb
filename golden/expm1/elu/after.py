import torch


def elu_below_zero(x, alpha):
    below = x.clamp(max=0)
    return alpha * (torch.expm1(below)) + torch.relu(x)
