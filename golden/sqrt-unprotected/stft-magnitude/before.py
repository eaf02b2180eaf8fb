import torch


def magnitude(spec):
    real = spec[..., 0]
    imag = spec[..., 1]
    return (real**2 + imag**2) ** 0.5
