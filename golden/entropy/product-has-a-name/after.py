import torch


def entropy(attn):
    terms = attn * torch.log(attn.clamp_min(torch.finfo(attn.dtype).tiny))
    return -terms.sum(dim=-1).mean()
