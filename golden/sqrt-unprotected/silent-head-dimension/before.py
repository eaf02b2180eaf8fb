import torch


def scores(q, k):
    return q @ k.mT * q.shape[-1] ** -0.5
