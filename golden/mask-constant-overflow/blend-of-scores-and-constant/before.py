import torch


def attention_mask_func(attention_scores, ltor_mask):
    attention_scores = torch.mul(attention_scores, ltor_mask) - \
        10000.0 * (1.0 - ltor_mask)
    return attention_scores
