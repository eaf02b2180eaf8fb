import torch


def f(advantages):
    return (advantages - advantages.mean()) / (advantages.std(unbiased=False) + 1e-8)
