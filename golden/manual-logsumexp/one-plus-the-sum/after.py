import torch
import torch.nn.functional as F


def circle_loss(similarity, margin, gamma):
    return F.softplus(torch.logsumexp(gamma * (similarity - margin), dim=1)).mean()
