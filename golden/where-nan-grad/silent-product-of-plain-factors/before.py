import torch


def f(a, b, weight):
    return (a / b) * weight
