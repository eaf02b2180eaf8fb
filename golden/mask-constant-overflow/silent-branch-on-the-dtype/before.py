import torch


def attend(scores, values, mask):
    if scores.dtype == torch.float16:
        scores = scores - 65500 * mask
    else:
        scores = scores - 1e30 * mask
    return torch.softmax(scores, dim=-1) @ values
