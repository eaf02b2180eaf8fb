import torch


def log_prob(y, df):
    return -0.5 * (df + 1) * torch.log(1 + y**2 / df)
