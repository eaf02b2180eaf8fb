import torch


def neighbours(predicted, target, k):
    distance = torch.sqrt(((predicted[:, None] - target[None]) ** 2).sum(-1))
    _, index = distance.topk(k, dim=1, largest=False)
    return index, distance.sort(dim=1).indices
