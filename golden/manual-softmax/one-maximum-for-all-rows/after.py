import torch


def weights(scores):
    return scores.softmax(dim=-1)
