import torch

_EPS = 1e-5


def frame(a, b):
    return (a - b) / (torch.norm(a - b, dim=-1, keepdim=True) + 1e-5)


def match(source, reference):
    source = source / (torch.norm(source, dim=-1, keepdim=True) + _EPS)
    reference = reference / (torch.norm(reference, dim=-1, keepdim=True) + _EPS)
    return source @ reference.transpose(-1, -2)
