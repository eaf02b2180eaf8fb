import torch
import xformers.ops as xops


def additive_mask(attn_mask, dtype):
    """The additive form of a boolean mask."""
    attn_mask = torch.where(attn_mask, 0.0, float("-inf"))
    return attn_mask.to(dtype=dtype)[:, None, None, :]


def attend(query, key, value, attn_mask):
    attn_mask = additive_mask(attn_mask, query.dtype)
    return xops.memory_efficient_attention(query, key, value, attn_bias=attn_mask)
