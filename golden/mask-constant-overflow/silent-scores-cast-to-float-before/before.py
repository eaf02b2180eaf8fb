import torch


def attend(scores, values, mask=None, key_pad_mask=None):
    scores = scores.float()
    if key_pad_mask is not None and mask is None:
        mask = key_pad_mask.unsqueeze(1)
    if mask is not None:
        scores = scores.masked_fill(mask, -1e18)
    return torch.softmax(scores, dim=-1).to(values.dtype) @ values
