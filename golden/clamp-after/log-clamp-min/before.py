import torch


def nll(p, target):
    log_p = torch.log(p).clamp(min=-20.0)
    return -(target * log_p).sum()
