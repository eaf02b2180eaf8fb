import torch


def deviations(scale, scale_tril):
    scaled_tril = scale[..., None] * scale_tril
    return scaled_tril.pow(2).sum(-1).sqrt()
