import torch


def loss(scores):
    p = torch.sigmoid(scores).squeeze(-1)
    return -torch.log(p).mean()
