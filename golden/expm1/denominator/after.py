import torch


def compound(rate, periods):
    return 100 * (torch.expm1(rate)) * periods
