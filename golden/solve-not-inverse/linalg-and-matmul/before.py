import torch


def newton_step(hessian, gradient):
    return torch.matmul(torch.linalg.inv(hessian), gradient)
