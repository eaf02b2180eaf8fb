import torch


def gradient_norm(grad):
    return torch.linalg.vector_norm(grad)
