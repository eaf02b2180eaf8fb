import torch


def standardise(x):
    return (x - x.mean(dim=-1, keepdim=True)) / (x.std(dim=-1, keepdim=True) + 1e-8)


DTYPES = ("torch.float16", "torch.float32")
