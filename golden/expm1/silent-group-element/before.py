import torch


def f(group, v):
    return group.exp(v) - 1
