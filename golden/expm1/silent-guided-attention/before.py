import torch


def guided_mask(inputs, outputs, sigma, device):
    grid_y, grid_x = torch.meshgrid(
        torch.arange(inputs, device=device), torch.arange(outputs, device=device), indexing="xy"
    )
    grid_x = grid_x.float() / outputs
    grid_y = grid_y.float() / inputs
    return 1.0 - torch.exp(-((grid_y - grid_x) ** 2) / (2 * (sigma**2)))
