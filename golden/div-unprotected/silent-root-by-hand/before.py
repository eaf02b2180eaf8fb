import torch


def torsion(pos_ji, pos_in, plane):
    distance = pos_ji.pow(2).sum(dim=-1).sqrt()
    return (torch.cross(plane, pos_in, dim=-1) * pos_ji).sum(dim=-1) / distance
