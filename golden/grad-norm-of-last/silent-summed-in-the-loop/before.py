import torch


def gradient_norm(parameters, norm_type=2.0):
    total = torch.zeros([])
    for p in parameters:
        if p.grad is not None:
            norm = p.grad.norm(norm_type)
            total += norm**norm_type
    return total ** (1.0 / norm_type)
