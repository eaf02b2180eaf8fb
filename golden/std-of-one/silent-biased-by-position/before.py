import torch


def f(advantages):
    return (advantages - advantages.mean()) / (advantages.std(False) + 1e-8)
