import torch


def attention(query, key, value, causal, padding):
    scores = query @ key.transpose(-2, -1)
    scores = scores.masked_fill(causal, torch.finfo(scores.dtype).min)
    scores = scores.masked_fill(padding[:, None, :], torch.finfo(scores.dtype).min)
    return torch.softmax(scores, dim=-1) @ value
