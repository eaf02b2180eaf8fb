import torch


def loss(logits, target):
    p = torch.softmax(logits, dim=1).gather(1, target.unsqueeze(1))
    return -torch.log(p + 1e-8).mean()
