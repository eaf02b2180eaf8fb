import torch
import torch.nn.functional as F


def attend(queries, keys, values, query_mask, key_mask):
    scores = torch.einsum("bqd,bkd->bqk", queries, keys)
    visible = query_mask[:, :, None] * key_mask[:, None, :]
    scores.masked_fill_(~visible, torch.finfo(scores.dtype).min)
    return F.softmax(scores, dim=-1) @ values
