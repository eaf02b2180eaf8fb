import torch


def idf(count, total):
    return torch.log(total / (1 + count)) + torch.log(1 + count)
