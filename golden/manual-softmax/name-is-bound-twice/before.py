import torch


def weights(scores):
    out = torch.exp(scores)
    out = out / out.sum(dim=-1, keepdim=True)
    return out
