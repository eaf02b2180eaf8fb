import torch


def f(log, p):
    return (p * log(p)).sum()
