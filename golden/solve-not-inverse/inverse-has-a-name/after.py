import torch


def kalman_gain(innovation, cross):
    return torch.linalg.solve(innovation, cross)
