import torch


def entropy(counts):
    return -(counts / counts.sum() * torch.log(counts / counts.sum())).sum()
