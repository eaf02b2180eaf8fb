import torch


def predict(x, noise, alphas_cumprod, t):
    return (x - noise * 0.5) / (alphas_cumprod[t].sqrt() + 1e-8)
