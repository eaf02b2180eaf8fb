import torch
import torch.nn.functional as F


def loss(logits, target):
    probs = torch.softmax(logits, dim=1)
    logp = torch.log(probs)
    return F.nll_loss(logp, target)
