import torch


def rays(directions):
    return torch.nn.functional.normalize(directions, dim=-1)
