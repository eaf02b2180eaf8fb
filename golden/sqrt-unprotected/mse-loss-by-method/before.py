import torch


def loss(prediction, target):
    error = prediction - target
    return error.square().mean().sqrt()
