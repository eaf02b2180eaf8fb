import torch


def sparse_attention(dots, v, k):
    top, _ = dots.topk(k, dim=-1)
    dots = dots.masked_fill(dots < top[..., -1:], float("-inf"))
    return dots.softmax(dim=-1) @ v
