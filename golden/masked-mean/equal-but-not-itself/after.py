import torch
from torch.nn import functional as F


def supervised_contrastive_loss(features, labels):
    logits = features @ features.t()
    same = (labels[:, None] == labels[None, :]).float()
    positive = same * (1 - torch.eye(len(labels), device=labels.device))
    log_prob = F.log_softmax(logits, dim=1)
    return -((positive * log_prob).sum(1) / positive.sum(1).clamp_min(1)).mean()
