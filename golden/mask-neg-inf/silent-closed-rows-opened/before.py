import torch


def softmax_attention(scores, values, mask):
    mask_all = mask.all(dim=-1, keepdim=True)
    mask = torch.logical_and(mask, ~mask_all)
    scores = scores.masked_fill(mask.unsqueeze(2), float("-inf"))
    return torch.softmax(scores, dim=-1) @ values
