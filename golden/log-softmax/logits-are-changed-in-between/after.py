import torch
import torch.nn.functional as F


def losses(logits, target, bias):
    probs_logits = logits / 2.0
    logits = logits + bias
    return -(target * F.log_softmax(probs_logits, dim=1)).sum(), logits
