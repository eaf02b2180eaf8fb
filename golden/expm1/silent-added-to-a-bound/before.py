import torch


def soft_clip(x: torch.Tensor, limit: float, scale: float = 0.02):
    over = x - limit
    return torch.where(over > 0, -scale * (torch.exp(-over.clamp(min=0)) - 1.0) + limit, x)
