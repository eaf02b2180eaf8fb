import torch


def nearest_loss(predicted, target, k):
    distance = torch.linalg.vector_norm(predicted[:, None] - target[None], dim=-1)
    nearest, _ = distance.topk(k, dim=1, largest=False)
    return nearest.mean()
