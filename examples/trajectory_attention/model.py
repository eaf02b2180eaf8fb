"""A small attention model that classifies padded trajectories."""

import math

import torch
import torch.nn.functional as F
from torch import nn


class SelfAttention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)

    def forward(self, x, padding):
        """x: (batch, length, dim); padding: (batch, length), True where there is no observation."""
        batch, length, dim = x.shape
        q, k, v = self.qkv(x).view(batch, length, 3, self.heads, dim // self.heads).permute(2, 0, 3, 1, 4)
        scores = q @ k.transpose(-2, -1) / math.sqrt(dim // self.heads)
        scores = scores.masked_fill(padding[:, None, None, :], float("-inf"))
        weights = F.softmax(scores, dim=-1)
        return self.out((weights @ v).transpose(1, 2).reshape(batch, length, dim))


class Classifier(nn.Module):
    def __init__(self, observed, classes, dim=32, heads=4, depth=2):
        super().__init__()
        self.embed = nn.Linear(observed, dim)
        self.layers = nn.ModuleList(SelfAttention(dim, heads) for _ in range(depth))
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(depth))
        self.head = nn.Linear(dim, classes)

    def forward(self, x, padding):
        h = self.embed(x)
        for norm, layer in zip(self.norms, self.layers):
            h = h + layer(norm(h), padding)
        seen = (~padding).unsqueeze(-1).to(h.dtype)
        pooled = (h * seen).sum(dim=1) / seen.sum(dim=1).clamp_min(1)
        return self.head(pooled)


def loss_of(logits, labels):
    probabilities = torch.softmax(logits, dim=-1)
    return -torch.log(probabilities).gather(1, labels[:, None]).mean()
