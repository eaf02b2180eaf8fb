import torch


def ranking_loss(chosen, rejected):
    margin = (chosen - rejected).float()
    return torch.nn.functional.softplus(-margin).mean()
