import torch


def distance(squared):
    return squared.clamp(min=1e-6).sqrt()
