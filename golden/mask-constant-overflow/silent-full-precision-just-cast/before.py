import torch


def attend(scores, values, mask):
    filled = scores.float().masked_fill(mask, -1e30).type_as(scores)
    return torch.softmax(filled, dim=1) @ values
