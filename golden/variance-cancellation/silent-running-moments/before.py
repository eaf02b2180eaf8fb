import torch


def f(total, total_squared, n):
    mean = total / n
    return total_squared / n - mean**2
