import torch
from torch import nn


class Select(nn.Module):
    def forward(self, scores, values, limit):
        keep = scores >= limit
        return values * keep.unsqueeze(-1)


class Block(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.score = nn.Linear(dim, 1)
        self.cutoff = nn.Parameter(torch.zeros(()))
        self.select = Select()

    def forward(self, tokens):
        scores = self.score(tokens).squeeze(-1)
        return self.select(scores, tokens * scores.unsqueeze(-1), self.cutoff)
