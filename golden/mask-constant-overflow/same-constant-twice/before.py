import torch


def attention(query, key, value, causal, padding):
    scores = query @ key.transpose(-2, -1)
    scores = scores.masked_fill(causal, -1e9)
    scores = scores.masked_fill(padding[:, None, :], -1e9)
    return torch.softmax(scores, dim=-1) @ value
