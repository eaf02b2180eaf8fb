import torch
from torch import Tensor


def whiten(cov: Tensor, x: Tensor) -> Tensor:
    return torch.linalg.solve(cov, x)
