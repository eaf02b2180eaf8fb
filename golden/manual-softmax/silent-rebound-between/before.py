import torch


def weights(scores, decay):
    exp = torch.exp(scores)
    total = exp.sum(dim=-1, keepdim=True)
    exp = exp * decay
    return exp / total
