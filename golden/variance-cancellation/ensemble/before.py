import torch


def disagreement(predictions):
    uncertainty = torch.mean(predictions.pow(2), 0) - torch.mean(predictions, 0).pow(2)
    return uncertainty.sqrt()
