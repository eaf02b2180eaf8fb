import torch


def mixing(pairs: torch.Tensor, weights: torch.Tensor, size: int) -> torch.Tensor:
    M = mixing_matrix(pairs, weights, size)
    M = M / M.sum()
    return (M * torch.arange(size)).sum()
