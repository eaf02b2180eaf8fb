import torch


def perturbation(gradient, radius):
    length = torch.linalg.vector_norm(gradient)
    return radius * gradient / length
