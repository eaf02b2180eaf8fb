import torch


def f(image):
    return (image - image.mean()) / (image.std() + 1e-6)
