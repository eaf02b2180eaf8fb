import torch


def loss(prediction, target):
    error = prediction - target
    return error.square().mean().clamp_min(torch.finfo(error.dtype).tiny).sqrt()
