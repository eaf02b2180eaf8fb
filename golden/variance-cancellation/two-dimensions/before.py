import torch


def contrast(image):
    return image.square().mean(dim=(-2, -1)) - image.mean(dim=(-2, -1)).square()
