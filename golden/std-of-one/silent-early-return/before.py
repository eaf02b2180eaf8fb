import torch


def f(rewards):
    if rewards.shape[0] < 2:
        return rewards
    return (rewards - rewards.mean()) / (rewards.std() + 1e-8)
