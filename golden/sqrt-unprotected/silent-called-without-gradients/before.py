import torch


def _roots(total, product):
    discriminant = total * total - 4 * product
    return 0.5 * (total + discriminant.clamp(min=0).sqrt())


@torch.no_grad()
def solve(total, product):
    return _roots(total, product)
