import torch


def perturbation(gradient, radius):
    length = torch.linalg.vector_norm(gradient)
    return radius * gradient / length.clamp_min(torch.finfo(length.dtype).eps)
