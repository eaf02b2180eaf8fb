import torch


def _odds(logits):
    return torch.log1p(logits.exp())


def marginals(exists_logits):
    exists_logits = exists_logits.clamp(min=-40, max=40)
    return _odds(exists_logits)
