import torch


def attend(q, k, v, mask):
    weights = torch.softmax(
        # scaled scores
        (q @ k.transpose(-2, -1) / q.size(-1) ** 0.5).masked_fill(~mask, -1e10),
        dim=-1,
    )
    return weights @ v
