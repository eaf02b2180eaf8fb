import torch


def attend(scores, values, mask):
    attention_mask = torch.where(mask > 0, 0.0, -1e10)
    return torch.softmax(scores + attention_mask, dim=-1) @ values
