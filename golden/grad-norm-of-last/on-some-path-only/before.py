import torch


def clip_(parameters, bound):
    squares = torch.tensor(0.0)
    for p in parameters:
        if p.grad is not None:
            square = p.grad.pow(2).sum()
        shape = p.shape
    squares.add_(square)
    norm = torch.sqrt(squares)
    if norm > bound:
        for p in parameters:
            p.grad.mul_(bound / norm)
    return norm, shape
