import torch


def log_prob(normal, raw):
    action = torch.tanh(raw)
    return (normal.log_prob(raw) - torch.log(1 - action.pow(2))).sum(-1)
