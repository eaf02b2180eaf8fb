import torch


def log_probability(logits):
    return logits.float().log_softmax(dim=-1).half()
