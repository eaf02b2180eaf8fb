import torch


def render(sigma, delta, colour):
    alpha = 1.0 - (-sigma * delta).exp()
    return alpha * colour
