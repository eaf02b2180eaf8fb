import torch


def normalise(x):
    h = x.half()
    total = h.abs().sum(dim=-1, keepdim=True)
    # of the row
    return h / (
        total.clamp_min(torch.finfo(total.dtype).eps)
    )
