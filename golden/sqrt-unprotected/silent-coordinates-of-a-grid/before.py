import torch


def append_coordinates(image, with_radius=False):
    batch, _, height, width = image.shape
    rows = torch.arange(height).view(1, 1, height, 1).expand(batch, 1, height, width).float() / (height - 1)
    columns = torch.arange(width).view(1, 1, 1, width).expand(batch, 1, height, width).float() / (width - 1)
    out = torch.cat([image, rows.type_as(image), columns.type_as(image)], dim=1)
    if with_radius:
        radius = torch.sqrt(torch.pow(rows.type_as(image) - 0.5, 2) + torch.pow(columns.type_as(image) - 0.5, 2))
        out = torch.cat([out, radius], dim=1)
    return out
