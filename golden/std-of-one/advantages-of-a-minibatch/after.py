import torch


def policy_loss(ratio, advantages):
    advantages = (advantages - advantages.mean()) / (advantages.std(correction=min(1, advantages.numel() - 1)) + 1e-8)
    return -(ratio * advantages).mean()
