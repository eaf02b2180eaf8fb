import torch


def attend(scores, values, attention_mask):
    attention_mask = attention_mask[:, None, None, :]
    attention_mask = attention_mask.masked_fill(attention_mask == 0, -9e15)
    return torch.softmax(scores + attention_mask, dim=-1) @ values
