import torch


def attend(query, key, value, position_bias, mask):
    scores = torch.einsum("bqd,bkd->bqk", query, key)
    mask = torch.where(mask > 0, 0.0, torch.finfo(scores.dtype).min / 2)
    position_bias = position_bias + mask
    scores += position_bias
    return torch.softmax(scores.float(), dim=-1).type_as(scores) @ value
