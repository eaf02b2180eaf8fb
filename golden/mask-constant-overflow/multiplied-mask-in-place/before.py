import torch


def scaled_dot_product(q, k, v, mask):
    logits = torch.matmul(q, k.permute(0, 1, 3, 2))
    if mask is not None:
        logits += mask[: q.size(-2), : k.size(-2)] * -1e4
    return torch.matmul(torch.softmax(logits, dim=-1), v)
