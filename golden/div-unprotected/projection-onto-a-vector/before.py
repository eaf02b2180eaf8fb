import torch


def project(x, direction):
    along = (x * direction).sum(-1, keepdim=True)
    return along * direction / direction.pow(2).sum(-1, keepdim=True)
