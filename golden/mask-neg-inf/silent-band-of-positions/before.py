import torch


def band(scores, window):
    length = scores.size(-1)
    position = torch.arange(length, device=scores.device)
    distance = position[None, :] - position[:, None]
    keep = (distance >= -window) & (distance <= window)
    return torch.softmax(scores.masked_fill(~keep, float("-inf")), dim=-1)
