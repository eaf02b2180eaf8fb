import torch


def loss(scores):
    return -torch.nn.functional.logsigmoid(scores.squeeze(-1)).mean()
