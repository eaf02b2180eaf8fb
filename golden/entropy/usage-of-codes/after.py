import torch


def perplexity(usage):
    return torch.exp(-torch.sum(usage * torch.log(usage.clamp_min(torch.finfo(usage.dtype).tiny))))
