import torch


def f(advantages, log):
    log["advantage_std"] = advantages.std().item()
    return advantages
