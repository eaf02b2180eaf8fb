import torch
import torch.nn.functional as F


def token_loss(logits, labels):
    per_token = F.cross_entropy(logits.transpose(1, 2), labels, reduction="none")
    mask = labels != -100
    return (per_token * mask).sum() / mask.sum().clamp_min(1)
