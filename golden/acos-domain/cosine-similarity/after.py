import torch
import torch.nn.functional as F


def angular_loss(x, y):
    cosine = F.cosine_similarity(x, y, dim=-1)
    eps = torch.finfo(cosine.dtype).eps
    return cosine.clamp(-1.0 + eps, 1.0 - eps).acos().mean()
