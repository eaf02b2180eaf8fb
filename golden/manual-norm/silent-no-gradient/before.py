import torch


@torch.no_grad()
def evaluate(a, b):
    return torch.sqrt(torch.sum((a - b) ** 2, dim=-1))
