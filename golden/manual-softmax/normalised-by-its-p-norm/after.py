import torch
import torch.nn.functional as F


def weights(scores):
    return F.softmax(scores, dim=-1)
