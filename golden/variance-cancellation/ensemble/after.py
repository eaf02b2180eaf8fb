import torch


def disagreement(predictions):
    return torch.std(predictions, dim=0, correction=0)
