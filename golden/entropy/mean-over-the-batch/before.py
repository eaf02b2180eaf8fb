import torch


def loss(p):
    return (p * torch.log(p)).sum(1).mean()
