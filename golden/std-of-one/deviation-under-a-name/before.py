import torch


def whiten(rewards):
    mean = rewards.mean()
    deviation = rewards.std()
    return (rewards - mean) / (deviation + 1e-8)
