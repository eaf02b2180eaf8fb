import torch


def relative_weights(weights):
    used = (weights != 0).sum(dim=1)
    check(bool((used >= 6).all()), "every element needs six weights")
    relative = weights / weights.abs().amax(dim=1, keepdim=True)
    squares = relative**2
    return relative * torch.sqrt(used.unsqueeze(1) / squares.sum(dim=1, keepdim=True))
