import torch
import torch.nn.functional as F


def log(x):
    return x.clamp_min(1e-6).log2()


def score(logits):
    return log(F.softmax(logits, dim=-1))
