import torch


def expand_attention_mask(attention_mask):
    attention_mask = attention_mask[:, None, None, :]
    inverted_mask = 1.0 - attention_mask
    attention_mask = inverted_mask * (torch.finfo(inverted_mask.dtype).min / 2)
    return attention_mask
