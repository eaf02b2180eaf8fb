import torch


def log_survival(logits):
    return torch.log1p(-torch.sigmoid(logits)).sum(dim=-1)
