import torch
from torch.nn import functional as F


def soft_target(actor, critic, state, alpha):
    with torch.no_grad():
        logits = actor(state)
        prob = F.softmax(logits, dim=-1)
        log_prob = torch.log(prob + 1e-8)
        return (prob * critic(state)).sum(-1) - alpha * log_prob.mean(-1)
