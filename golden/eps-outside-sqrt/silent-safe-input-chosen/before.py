import torch


def upright(frames, eps=1e-9):
    filled = (frames.abs().sum((-1, -2), keepdim=True) > 0).expand_as(frames)
    safe = torch.where(filled, frames, torch.eye(2, 3))
    length = torch.sqrt(safe[..., 0:1, 1:2] ** 2 + safe[..., 0:1, 0:1] ** 2) + eps
    return safe / length
