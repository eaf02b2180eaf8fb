import torch


def angle(s, c):
    return torch.atan2(s, c)  # no acos(
