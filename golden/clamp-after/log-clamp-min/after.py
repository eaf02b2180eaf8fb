import torch


def nll(p, target):
    log_p = torch.log(p.clamp(min=max(2.06115e-09, torch.finfo(p.dtype).tiny)))
    return -(target * log_p).sum()
