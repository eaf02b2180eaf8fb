import torch


def logistic_loss(margin):
    return torch.log(1 + torch.exp(-margin)).mean()
