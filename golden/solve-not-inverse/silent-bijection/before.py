import torch


def f(flow, x, w):
    return flow.inverse(x) @ w
