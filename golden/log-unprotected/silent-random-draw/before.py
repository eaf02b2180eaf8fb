import torch


def concrete(logits, temperature):
    noise = 0.98 * torch.rand_like(logits) + 0.01
    return torch.sigmoid((noise.log() - (1 - noise).log() + logits) / temperature)
