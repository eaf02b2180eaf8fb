import torch


def both(x):
    logs = torch.log(x)
    kept = torch.where(x > 0, logs, 0.0)
    return kept, logs.max()
