import torch


def f(rewards):
    return rewards.mean() - 0.5 * rewards.std()
