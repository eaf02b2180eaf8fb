import torch
from torch import nn
from torch.nn import functional as F


class SharedAttention(nn.Module):
    def forward(self, qk, v, mask=None):
        length = qk.shape[1]
        dots = torch.einsum("bie,bje->bij", qk, F.normalize(qk, dim=-1)) * qk.shape[-1] ** -0.5
        i = torch.arange(length)
        dots[:, i, i] = -5e4
        if mask is not None:
            dots.masked_fill_(~mask[:, None, :], torch.finfo(dots.dtype).min)
        return torch.einsum("bij,bje->bie", dots.softmax(dim=-1), v)
