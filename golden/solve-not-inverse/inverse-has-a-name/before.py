import torch


def kalman_gain(innovation, cross):
    innovation_inv = torch.linalg.inv(innovation)
    return innovation_inv @ cross
