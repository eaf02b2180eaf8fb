import torch


def weights(scores):
    out = torch.softmax(scores, dim=-1)
    return out
