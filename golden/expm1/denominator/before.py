import torch


def compound(rate, periods):
    return 100 * (torch.exp(rate) - 1) * periods
