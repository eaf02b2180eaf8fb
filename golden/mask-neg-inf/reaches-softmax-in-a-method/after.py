import torch
from torch import nn


class Pooler(nn.Module):
    def _normalise(self, scores):
        return torch.softmax(scores.float(), dim=1).to(scores.dtype)

    def forward(self, x, scores, padding):
        scores = scores.masked_fill(padding, torch.finfo(scores.dtype).min)
        return (self._normalise(scores).unsqueeze(-1) * x).sum(dim=1)
