import torch


def centred(rewards):
    return (rewards - rewards.mean(dim=0)) / (rewards.std(dim=0, correction=min(1, rewards.size(0) - 1)) + 1e-8)
