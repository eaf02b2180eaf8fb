import torch
import torch.nn.functional as F


def log_likelihood(logits, target):
    log_probs = torch.log(F.softmax(logits, dim=1))
    return log_probs.gather(1, target.unsqueeze(1)).mean()
