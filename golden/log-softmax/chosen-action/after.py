import torch
import torch.nn.functional as F


def policy_loss(scores, actions, returns):
    return -(returns * F.log_softmax(scores, dim=-1).gather(1, actions).squeeze(1)).mean()
