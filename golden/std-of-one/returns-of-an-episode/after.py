import torch


def finish_episode(log_probs, returns):
    returns = (returns - returns.mean()) / (returns.std(correction=min(1, returns.numel() - 1)) + 1e-6)
    return -(log_probs * returns).sum()
