import torch


def project_points(points):
    return points[..., :2] / points[..., 2:3]
