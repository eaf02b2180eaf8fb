import torch
import torch.nn.functional as F


def mixture(a, b, weight):
    return torch.log(weight * F.softmax(a, dim=-1) + (1 - weight) * F.softmax(b, dim=-1))
