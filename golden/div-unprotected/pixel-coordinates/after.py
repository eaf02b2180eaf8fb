import torch


def to_unit_square(column, row, width: int, height: int):
    x = 2.0 * column / max(width - 1, 1) - 1.0
    y = 2.0 * row / max(height - 1, 1) - 1.0
    return x, y
