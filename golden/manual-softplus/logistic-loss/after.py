import torch


def logistic_loss(margin):
    return torch.nn.functional.softplus(-margin).mean()
