import torch


def distances(pos, edge_index):
    j, i = edge_index
    return torch.linalg.vector_norm(pos[i] - pos[j], dim=-1)
