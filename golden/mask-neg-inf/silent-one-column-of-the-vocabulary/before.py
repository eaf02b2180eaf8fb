import torch
from torch import nn


class CopyGenerator(nn.Module):
    def __init__(self, dim, vocabulary, pad_idx):
        super().__init__()
        self.linear = nn.Linear(dim, vocabulary)
        self.pad_idx = pad_idx

    def forward(self, hidden, attention):
        logits = self.linear(hidden)
        logits[:, self.pad_idx] = -float("inf")
        return torch.softmax(logits, 1) * (1 - attention)
