import torch


def attend(scores, mask):
    scores = scores.masked_fill(mask, float("-inf"))
    empty = (scores == float("-inf")).all(dim=-1, keepdim=True)
    scores = torch.where(empty, 0.0, scores)
    return torch.softmax(scores, dim=-1)
