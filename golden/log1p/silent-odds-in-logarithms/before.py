import torch


def posterior(prior, surprisal):
    relative = torch.log(prior) - torch.log(1 - prior)
    return torch.sigmoid(surprisal.sum(-1) + relative)
