import torch


def f(column, width: int):
    assert width > 1
    return 2.0 * column / (width - 1) - 1.0
