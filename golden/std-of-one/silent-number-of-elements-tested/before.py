import torch


def f(returns):
    return (returns - returns.mean()) / (returns.std() + 1e-8) if returns.numel() > 1 else returns * 0
