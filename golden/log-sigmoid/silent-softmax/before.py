import torch


def entropy_term(x):
    p = torch.softmax(x, dim=-1) * torch.sigmoid(x)
    return torch.log(p)
