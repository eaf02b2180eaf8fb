import torch


def disagreement(predictions):
    uncertainty = torch.var(predictions, dim=0, correction=0)
    return uncertainty.sqrt()
