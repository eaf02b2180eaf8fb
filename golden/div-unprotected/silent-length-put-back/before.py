import torch


def cosine(x, y):
    length = torch.norm(x, p=2, dim=1)
    x = x / length.unsqueeze(1)
    return x @ y.t()
