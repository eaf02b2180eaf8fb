import torch


def attend(q, k, v, mask):
    scores = q @ k.transpose(-2, -1) / q.size(-1) ** 0.5
    weights = torch.softmax(
        # scaled scores
        (scores).masked_fill(~mask, torch.finfo(scores.dtype).min),
        dim=-1,
    )
    return weights @ v
