import torch


def largest_eigenvalue(operator, shape, steps):
    x = torch.randn(shape)
    for _ in range(steps):
        length = torch.linalg.vector_norm(x.reshape(-1))
        x = x / length
        x = operator(x)
    return length
