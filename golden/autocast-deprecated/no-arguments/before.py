import torch
import torch.nn.functional as F


def loss_of(logits, target):
    with torch.cuda.amp.autocast():
        loss = F.cross_entropy(logits, target)
    return loss
