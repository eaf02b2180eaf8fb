import torch


def radius(n):
    line = torch.arange(n, dtype=torch.float32) - n / 2
    grid_x = line.view(1, -1).repeat(n, 1)
    grid_y = line.view(-1, 1).repeat(1, n)
    return torch.sqrt(grid_x**2 + grid_y**2)
