import torch


def whiten(td_errors):
    return (td_errors - td_errors.mean()) / td_errors.std().clamp_min(1e-5)
