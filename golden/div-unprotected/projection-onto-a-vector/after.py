import torch


def project(x, direction):
    along = (x * direction).sum(-1, keepdim=True)
    return along * direction / direction.pow(2).sum(-1, keepdim=True).clamp_min(torch.finfo(torch.result_type(direction, 1.0)).eps)
