import torch


def quaternion_w(matrix):
    m00, m11, m22 = matrix[..., 0, 0], matrix[..., 1, 1], matrix[..., 2, 2]
    return 0.5 * torch.sqrt(1.0 + m00 + m11 + m22)
