import torch


def f(matrix):
    determinant = torch.det(matrix)
    return torch.log(determinant), determinant.clamp(-1, 1)
