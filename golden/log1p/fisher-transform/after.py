import torch


def fisher(correlation):
    return 0.5 * (torch.log1p(correlation) - torch.log1p(-correlation))
