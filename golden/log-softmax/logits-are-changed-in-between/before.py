import torch
import torch.nn.functional as F


def losses(logits, target, bias):
    probs = F.softmax(logits / 2.0, dim=1)
    logits = logits + bias
    return -(target * torch.log(probs)).sum(), logits
