import torch


def diversity(kernel):
    return -torch.log(torch.det(kernel) + 1e-10)
