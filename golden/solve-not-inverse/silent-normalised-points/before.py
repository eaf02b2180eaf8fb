import torch

from .points import normalize_points


def refit(model, x1, x2):
    x1, t1 = normalize_points(x1)
    x2, t2 = normalize_points(x2)
    return torch.linalg.inv(t2) @ model @ t1
