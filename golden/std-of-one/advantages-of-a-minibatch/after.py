import torch


def policy_loss(ratio, advantages):
    if advantages.numel() > 1:
        advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
    return -(ratio * advantages).mean()
