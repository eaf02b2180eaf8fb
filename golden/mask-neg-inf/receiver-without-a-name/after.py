import torch.nn.functional as F
import torch


def attend(q, k, v, mask):
    scores = q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5
    attn = F.softmax(scores.masked_fill(mask == 0, torch.finfo(scores.dtype).min), dim=-1)
    return attn @ v
