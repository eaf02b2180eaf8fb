import torch


def log_prob(normal, raw):
    action = torch.tanh(raw)
    return (normal.log_prob(raw) - 2.0 * (0.6931471805599453 - raw - torch.nn.functional.softplus(-2.0 * raw))).sum(-1)
