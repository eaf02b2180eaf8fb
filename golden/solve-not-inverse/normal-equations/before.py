import torch


def least_squares(x, y):
    return torch.inverse(x.T @ x) @ (x.T @ y)
