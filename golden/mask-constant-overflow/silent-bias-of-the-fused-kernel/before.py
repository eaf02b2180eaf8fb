import torch
import torch.nn.functional as F


def attend(query, key, value, valid):
    bias = torch.where(
        valid.bool()[:, None, None, :],
        torch.zeros((), dtype=query.dtype),
        torch.full((), -1e9, dtype=query.dtype),
    )
    return F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
