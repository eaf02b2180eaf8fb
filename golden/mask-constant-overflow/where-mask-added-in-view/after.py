import torch


def attend(scores, values, keep, query):
    bias = torch.where(keep, 0.0, torch.finfo(query.dtype).min).to(query.dtype)
    scores = (scores + bias).clamp_min(torch.finfo(scores.dtype).min)
    return torch.softmax(scores, dim=-1) @ values
