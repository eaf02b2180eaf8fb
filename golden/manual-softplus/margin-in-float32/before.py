import torch


def ranking_loss(chosen, rejected):
    margin = (chosen - rejected).float()
    return torch.log(1 + torch.exp(-margin)).mean()
