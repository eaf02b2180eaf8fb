import torch


def splade(logits):
    return torch.log1p(torch.relu(logits)).amax(dim=1)
