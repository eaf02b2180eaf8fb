import torch


def attend(q, k, v, mask):
    weights = torch.softmax(torch.matmul(q, k.transpose(1, 2)).masked_fill_(mask, -1e9), dim=-1)
    return weights @ v
