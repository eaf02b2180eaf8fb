import torch


def render(sigma, delta, colour):
    alpha = -(-sigma * delta).expm1()
    return alpha * colour
