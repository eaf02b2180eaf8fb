import torch


def aggregate(x, index, size):
    total = x.new_zeros(size, x.shape[-1]).index_add_(0, index, x)
    count = torch.bincount(index, minlength=size).to(x.dtype)
    return total / count.sqrt().clamp(min=1.0)[:, None]
