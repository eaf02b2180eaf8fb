import torch


def near(points, start, direction, tolerance):
    towards = points - start
    length = towards.norm(dim=-1)
    angle = torch.acos((towards * direction).sum(-1) / length)
    distance = length * torch.sin(angle)
    return distance <= tolerance
