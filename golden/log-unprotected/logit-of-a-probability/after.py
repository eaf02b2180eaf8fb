import torch


def to_logits(probs):
    return torch.log(probs.clamp_min(torch.finfo(probs.dtype).tiny)) - torch.log1p(-probs.clamp_max(1.0 - torch.finfo(probs.dtype).eps))
