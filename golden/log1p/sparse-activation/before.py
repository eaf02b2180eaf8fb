import torch


def splade(logits):
    return torch.log(1 + torch.relu(logits)).amax(dim=1)
