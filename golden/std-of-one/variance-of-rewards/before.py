import torch


def scaled(rewards):
    return (rewards - rewards.mean()) / (rewards.var() + 1e-3).sqrt()
