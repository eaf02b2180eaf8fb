import torch


def random_quaternions(n, requires_grad=False):
    o = torch.randn((n, 4), requires_grad=requires_grad)
    s = (o * o).sum(1)
    return o / torch.copysign(torch.sqrt(s), o[:, 0])[:, None]
