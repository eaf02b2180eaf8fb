import torch


def weights(scores):
    return torch.softmax(scores, dim=0)
