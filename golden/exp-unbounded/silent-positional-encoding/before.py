import math

import torch


def sinusoids(length, dim):
    position = torch.arange(length).unsqueeze(1)
    div_term = torch.exp(torch.arange(0, dim, 2) * (-math.log(10000.0) / dim))
    log_scale = math.log(10000.0) / (dim // 2 - 1)
    emb = torch.exp(torch.arange(dim // 2).float() * -log_scale)
    return torch.sin(position * div_term), emb
