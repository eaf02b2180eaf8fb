import torch


def policy_loss(ratio, advantages):
    advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
    return -(ratio * advantages).mean()
