import torch


def entropy(attn):
    terms = attn * torch.log(attn)
    return -terms.sum(dim=-1).mean()
