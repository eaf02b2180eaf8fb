import torch


def newton_step(hessian, gradient):
    return torch.linalg.solve(hessian, gradient)
