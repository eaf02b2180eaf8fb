import torch


def concrete(logits, temperature, bias):
    noise = (1 - 2 * bias) * torch.rand_like(logits) + bias
    return torch.sigmoid((noise.log() - (1 - noise).log() + logits) / temperature)
