import torch


def distances(pos, edge_index):
    j, i = edge_index
    return (pos[i] - pos[j]).pow(2).sum(dim=-1).sqrt()
