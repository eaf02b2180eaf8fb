import torch


def nearest_loss(predicted, target, k):
    distance = torch.sqrt(((predicted[:, None] - target[None]) ** 2).sum(-1))
    nearest, _ = distance.topk(k, dim=1, largest=False)
    return nearest.mean()
