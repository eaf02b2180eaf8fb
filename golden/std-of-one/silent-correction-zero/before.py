import torch


def f(advantages):
    return (advantages - advantages.mean()) / (advantages.std(correction=0) + 1e-8)
