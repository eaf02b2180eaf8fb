import torch


def attend(scores, values, keep, query):
    bias = torch.where(keep, 0.0, -1e9).to(query.dtype)
    scores = scores + bias
    return torch.softmax(scores, dim=-1) @ values
