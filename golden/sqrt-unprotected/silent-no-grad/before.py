import torch


@torch.no_grad()
def rms(x):
    return x.pow(2).mean().sqrt()
