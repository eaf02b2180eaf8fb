import torch
import torch.nn.functional as F


def weights(scores):
    return F.normalize(torch.exp(scores), p=1, dim=-1)
