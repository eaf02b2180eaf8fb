import torch


def unit_lines(points, matrix):
    lines = matrix @ points
    a, b, _ = torch.chunk(lines, dim=-2, chunks=3)
    squared = a * a + b * b
    factor = torch.where(squared > 0.0, 1.0 / torch.sqrt(squared), torch.ones_like(squared))
    return lines * factor
