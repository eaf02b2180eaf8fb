import torch
import torch.nn.functional as F


def unlikelihood(logits):
    return torch.log(1 - F.softmax(logits, dim=-1))
