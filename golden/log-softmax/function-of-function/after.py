import torch
import torch.nn.functional as F


def log_likelihood(logits, target):
    log_probs = F.log_softmax(logits, dim=1)
    return log_probs.gather(1, target.unsqueeze(1)).mean()
