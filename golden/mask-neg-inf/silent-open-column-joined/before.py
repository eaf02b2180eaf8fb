import torch


def attend(cross_scores, self_scores, values, edges):
    scores = torch.cat([cross_scores, self_scores], dim=-1)
    mask = torch.cat([edges, torch.ones_like(self_scores, dtype=torch.bool)], dim=-1)  # each keeps itself
    scores[~mask] = -torch.inf
    return torch.softmax(scores, dim=-1) @ values
