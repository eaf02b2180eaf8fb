import torch


def log_probability(logits):
    return logits.to(torch.float16).log_softmax(dim=-1)
