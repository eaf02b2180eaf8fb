import torch


def log_survival(logits):
    return torch.nn.functional.logsigmoid(-logits).sum(dim=-1)
