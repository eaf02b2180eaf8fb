import torch
import torch.nn.functional as F

NEG_INF = -float("inf")


def attend(q, k, v, visible):
    scores = torch.einsum("bqd,bkd->bqk", q, k)
    scores = torch.where(visible, scores, NEG_INF)
    return torch.einsum("bqk,bkd->bqd", F.softmax(scores, dim=-1), v)
