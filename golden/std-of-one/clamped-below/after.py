import torch


def whiten(td_errors):
    return (td_errors - td_errors.mean()) / td_errors.std(correction=min(1, td_errors.numel() - 1)).clamp_min(1e-5)
