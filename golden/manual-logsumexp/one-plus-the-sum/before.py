import torch
import torch.nn.functional as F


def circle_loss(similarity, margin, gamma):
    return torch.log(1 + torch.exp(gamma * (similarity - margin)).sum(dim=1)).mean()
