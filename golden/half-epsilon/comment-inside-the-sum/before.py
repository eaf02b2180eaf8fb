import torch


def normalise(x):
    h = x.half()
    total = h.abs().sum(dim=-1, keepdim=True)
    return h / (
        total  # of the row
        + 1e-8
    )
