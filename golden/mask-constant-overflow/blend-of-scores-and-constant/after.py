import torch


def attention_mask_func(attention_scores, ltor_mask):
    attention_scores = attention_scores.masked_fill(ltor_mask == 0, torch.finfo(attention_scores.dtype).min)
    return attention_scores
