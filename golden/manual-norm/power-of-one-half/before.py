import torch


def speed(velocity):
    return (velocity**2).sum(-1) ** 0.5
