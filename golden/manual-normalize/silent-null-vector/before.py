import torch


def null_vector(constraints):
    _, _, v = torch.linalg.svd(constraints)
    h = v[..., -1, :]
    return h / h.norm(dim=-1, keepdim=True)
