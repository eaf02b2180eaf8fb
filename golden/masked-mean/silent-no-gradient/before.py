import torch
import torch.nn.functional as F


@torch.no_grad()
def accuracy(logits, labels, mask):
    hits = (logits.argmax(-1) == labels) & mask
    return hits.sum() / mask.sum()
