import torch


def relative(image, reference):
    brightest = reference.amax(dim=(-2, -1), keepdim=True)
    spread = image.amax(dim=(-2, -1), keepdim=True) - image.amin(dim=(-2, -1), keepdim=True)
    return spread / brightest


def rows(image):
    largest = image.amax(dim=-1)
    smallest = image.amin(dim=-1)
    share = (largest - smallest) / largest
    return torch.where(largest > 0, share, torch.zeros_like(share)).detach()
