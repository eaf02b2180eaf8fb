import torch
import torch.nn.functional as F


def loss_of(logits, target):
    with torch.amp.autocast("cuda"):
        loss = F.cross_entropy(logits, target)
    return loss
