import torch


def angle(a, b, eps=1e-8):
    cos = (a * b).sum(-1) / (a.norm(dim=-1) * b.norm(dim=-1) + eps)
    return cos.clamp(-1.0 + torch.finfo(cos.dtype).eps, 1.0 - torch.finfo(cos.dtype).eps).acos()
