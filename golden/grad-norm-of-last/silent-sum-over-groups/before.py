import torch


@torch.no_grad()
def norm_of_heads(optimizer):
    total = 0.0
    for group in optimizer.param_groups:
        for p in group["params"]:
            square = p.grad.pow(2).sum()
        total += square
    return total**0.5
