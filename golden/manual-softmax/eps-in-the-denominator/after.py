import torch


def weights(scores, values):
    normalised = scores.softmax(dim=-1)
    return normalised @ values
