import torch


def weights(scores):
    largest, _ = scores.max(dim=-1, keepdim=True)
    exp = torch.exp(scores - largest)
    return exp / exp.sum(dim=-1, keepdim=True)
