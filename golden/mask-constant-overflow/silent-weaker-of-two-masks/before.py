import torch
from torch import nn

ITSELF = -5e4


def most_negative(tensor):
    return -torch.finfo(tensor.dtype).max


class SharedAttention(nn.Module):
    """Queries and keys are the same: a token looks at itself only where there is nothing else to look at."""

    def forward(self, qk, v, positions):
        scores = torch.einsum("bie,bje->bij", qk, qk) * qk.shape[-1] ** -0.5
        lowest = most_negative(scores)
        itself = positions[:, :, None] == positions[:, None, :]
        scores = scores.masked_fill(itself, ITSELF)
        later = positions[:, :, None] < positions[:, None, :]
        scores = scores.masked_fill(later, lowest)
        return torch.einsum("bij,bje->bie", scores.softmax(dim=-1), v)
