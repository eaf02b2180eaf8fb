import torch


def centred(rewards):
    return (rewards - rewards.mean(dim=0)) / (rewards.std(dim=0) + 1e-8)
