import torch


def contrastive(positive, negatives, tau):
    denominator = torch.exp(negatives / tau).sum(dim=1)
    return (torch.log(denominator + 1e-8) - positive / tau).mean()
