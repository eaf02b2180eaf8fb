import torch


def fisher(correlation):
    return 0.5 * (torch.log(1 + correlation) - torch.log(1 - correlation))
