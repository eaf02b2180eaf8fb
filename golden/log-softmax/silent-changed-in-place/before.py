import torch
import torch.nn.functional as F


def log_probs(logits, blocked):
    probs = F.softmax(logits, dim=-1)
    probs[..., blocked] = 1e-6
    return torch.log(probs)
