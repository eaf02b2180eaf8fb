import torch
import torch.nn.functional as F


def loss(x, y):
    return F.nll_loss(torch.log(torch.softmax(x, dim=2)), y)
