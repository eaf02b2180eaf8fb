import torch


def relative_weights(weights):
    check_shape(weights, ["B", "N"])
    return weights / weights.abs().amax(dim=1, keepdim=True)
