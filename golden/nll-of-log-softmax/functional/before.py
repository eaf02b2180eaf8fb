import torch
import torch.nn.functional as F


def loss(logits, target):
    return F.nll_loss(torch.log(F.softmax(logits, dim=1)), target)
