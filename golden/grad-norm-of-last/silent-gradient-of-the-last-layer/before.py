import torch


@torch.no_grad()
def norm_of_the_head(model):
    square = None
    for p in model.parameters():
        square = p.grad.pow(2).sum()
    return square**0.5
