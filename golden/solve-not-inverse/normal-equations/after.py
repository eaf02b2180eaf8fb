import torch


def least_squares(x, y):
    return torch.linalg.solve(x.T @ x, x.T @ y)
