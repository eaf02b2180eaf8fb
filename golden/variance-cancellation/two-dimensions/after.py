import torch


def contrast(image):
    return torch.var(image, dim=(-2, -1), correction=0)
