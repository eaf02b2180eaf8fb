import torch
import torch.nn.functional as F


def score(logits, normalised):
    probs = logits
    if not normalised:
        probs = F.softmax(logits, dim=-1)
    return torch.log(probs)
