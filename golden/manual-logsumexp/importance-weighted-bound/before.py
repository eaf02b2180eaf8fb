import torch


def iwae(log_p, log_q):
    log_w = log_p - log_q
    return torch.log(torch.mean(torch.exp(log_w), 0)).mean()
