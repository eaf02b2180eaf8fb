import torch


def f(logits, temperature, scale, config):
    return logits / temperature / scale / config.factor
