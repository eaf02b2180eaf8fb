import torch
import torch.nn.functional as F


def policy_loss(ratio, advantages, kl, response_mask):
    n = response_mask.sum()
    surrogate = (ratio * advantages * response_mask).sum() / n
    penalty = (kl * response_mask).sum() / n
    return penalty - surrogate
