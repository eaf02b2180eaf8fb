import torch.nn.functional as F
import torch


def attend(q, k, v, mask):
    attn = F.softmax((q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5).masked_fill(mask == 0, -torch.inf), dim=-1)
    return attn @ v
