import torch
import torch.nn.functional as F


def binary(logits):
    return torch.log(torch.sigmoid(logits) + 1e-8)
