import torch


@torch.no_grad()
def f(x):
    return torch.where(x > 0, torch.log(x), 0.0)
