import torch


def quaternion(candidates):
    best = candidates.diagonal(dim1=-2, dim2=-1).argmax(dim=-1)
    row = torch.gather(candidates, -2, best[..., None, None].expand(*best.shape, 1, 4))[..., 0, :]
    return row / torch.norm(row, dim=-1, keepdim=True)
