import torch


def hinge_loss(scores, target, weight):
    margin = torch.relu(1 - scores * target)
    margin = margin * weight
    return margin.mean()
