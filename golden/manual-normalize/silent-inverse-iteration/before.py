import torch


def eigenvector(matrix, shift, steps):
    v = torch.randn(matrix.shape[:-1])
    for _ in range(steps):
        v = torch.linalg.solve(matrix - shift, v)
        v = v / v.norm(dim=-1, keepdim=True)
    return v
