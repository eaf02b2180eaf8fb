import torch


def log_partition(scores):
    largest = scores.max(dim=-1, keepdim=True)[0]
    return largest + torch.log(torch.exp(scores - largest).sum(dim=-1, keepdim=True))
