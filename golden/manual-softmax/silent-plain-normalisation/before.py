import torch


def weights(positive, scores):
    scale = torch.exp(scores)
    return scale, positive / positive.sum(dim=-1, keepdim=True)
