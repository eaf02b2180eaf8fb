import torch


def attend(scores, values, keep, query):
    bias = torch.where(keep, 0.0, torch.tensor(torch.finfo(query.dtype).min / 2, dtype=query.dtype, device=keep.device)).to(query.dtype)
    scores = scores + bias
    return torch.softmax(scores, dim=-1) @ values
