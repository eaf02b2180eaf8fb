import torch


def f(p, q):
    logp = torch.log(p)
    p = q
    return (p * logp).sum()
