import torch


def whiten(rewards):
    mean = rewards.mean()
    deviation = rewards.std(correction=min(1, rewards.numel() - 1))
    return (rewards - mean) / (deviation + 1e-8)
