import torch


def weights(scores):
    return torch.exp(scores) / torch.sum(torch.exp(scores), dim=1, keepdim=True)
