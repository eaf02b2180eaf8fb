import torch


def relative_weights(weights):
    check_shape(weights, ["B", "N"])
    return weights / weights.abs().amax(dim=1, keepdim=True).clamp_min(torch.finfo(torch.result_type(weights, 1.0)).eps)
