import torch


def angle_cost(predicted, target, eps=1e-7):
    width = (target[:, 0] + target[:, 2] - predicted[:, 0] - predicted[:, 2]) * 0.5 + eps
    height = (target[:, 1] + target[:, 3] - predicted[:, 1] - predicted[:, 3]) * 0.5 + eps
    length = torch.pow(width**2 + height**2, 0.5)
    return torch.abs(width) / length
