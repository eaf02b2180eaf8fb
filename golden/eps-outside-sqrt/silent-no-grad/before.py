import torch


@torch.no_grad()
def statistics(x):
    return x.mean(0), x.var(0).sqrt() + 1e-6
