import torch


def log_partition(scores: torch.Tensor, dim: int = -1, keepdim: bool = False) -> torch.Tensor:
    top, _ = scores.max(dim, keepdim=keepdim)
    if keepdim:
        centred = scores - top
    else:
        centred = scores - top.unsqueeze(dim)
    return top + (centred.exp().sum(dim, keepdim=keepdim)).log()
