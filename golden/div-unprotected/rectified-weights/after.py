import torch


def mix(values, scores):
    weights = torch.relu(scores)
    weights = weights / weights.sum(dim=-1, keepdim=True).clamp_min(torch.finfo(torch.result_type(weights, 1.0)).eps)
    return (values * weights).sum(-1)
