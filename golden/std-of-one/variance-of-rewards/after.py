import torch


def scaled(rewards):
    return (rewards - rewards.mean()) / (rewards.var(correction=min(1, rewards.numel() - 1)) + 1e-3).sqrt()
