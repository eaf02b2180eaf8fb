import torch
import torch.nn as nn
import torch.nn.functional as F


class Tagger(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.head = nn.Linear(width, 1)

    def loss(self, hidden, target):
        logits = self.head(hidden)
        probs = torch.sigmoid(logits)
        return F.binary_cross_entropy_with_logits(logits, target), probs.detach()
