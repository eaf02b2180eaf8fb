import torch


def is_skewed(target, mask):
    chosen = target[mask > 0]
    skew = torch.mean(((chosen - chosen.mean()) / torch.std(chosen)) ** 3)
    return skew > 1.6
