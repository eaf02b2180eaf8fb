import torch


def to_logits(probs):
    return torch.log(probs) - torch.log1p(-probs)
