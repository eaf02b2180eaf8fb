import torch
from torch import Tensor


def whiten(cov: Tensor, x: Tensor) -> Tensor:
    return cov.inverse() @ x
