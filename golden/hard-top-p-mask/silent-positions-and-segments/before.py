import torch


def route_segments(router_mask, padding_idx, hidden):
    positions = torch.cumsum(router_mask.long(), dim=1) * router_mask.long() + padding_idx
    order = torch.argsort(positions, dim=1, descending=True)
    inside = positions.cumsum(dim=1) < 512
    return hidden * inside.unsqueeze(-1).float(), order
