import torch


@torch.no_grad()
def f(x):
    return (x - x.mean()) / x.std()
