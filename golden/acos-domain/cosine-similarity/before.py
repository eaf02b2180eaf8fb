import torch
import torch.nn.functional as F


def angular_loss(x, y):
    cosine = F.cosine_similarity(x, y, dim=-1)
    return cosine.acos().mean()
