import torch


def expand_attention_mask(attention_mask):
    attention_mask = attention_mask[:, None, None, :]
    attention_mask = (1 - attention_mask) * -1e4
    return attention_mask
