import torch


def min_max(image):
    low = image.amin(dim=-1, keepdim=True)
    high = image.amax(dim=-1, keepdim=True)
    return (image - low) / (high - low)
