import torch


def contrastive(positive, negatives, tau):
    return (torch.logsumexp(negatives / tau, dim=1) - positive / tau).mean()
