import torch
import torch.nn.functional as F


def nll(logits, target):
    return F.nll_loss(F.log_softmax(logits, dim=-1), target)
