import torch
import torch.nn.functional as F


def policy_loss(scores, actions, returns):
    probs = F.softmax(scores, dim=-1)
    chosen = probs.gather(1, actions).squeeze(1)
    return -(returns * torch.log(chosen)).mean()
