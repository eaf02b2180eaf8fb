import torch
import torch.nn.functional as F


def marginal_entropy(logits):
    marginal = F.softmax(logits, dim=-1).mean(0)
    return -(marginal * torch.log(marginal + 1e-8)).sum()
