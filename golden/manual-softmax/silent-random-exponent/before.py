import torch
import torch.nn.functional as F


def weights(scores):
    return torch.exp(F.dropout(scores)) / torch.exp(F.dropout(scores)).sum(dim=-1, keepdim=True)
