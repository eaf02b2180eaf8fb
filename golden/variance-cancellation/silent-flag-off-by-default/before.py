import torch


def instance_variance(x, dim, one_pass=False):
    mean = x.mean(dim=dim, keepdim=True)
    if one_pass:
        # faster on some accelerators, less exact
        var = ((x * x).mean(dim=dim, keepdim=True) - mean * mean).clamp(0)
    else:
        var = ((x - mean) * (x - mean)).mean(dim=dim, keepdim=True)
    return var + torch.finfo(x.dtype).eps
