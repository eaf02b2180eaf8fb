import torch
import torch.nn as nn


class Mixed(nn.Module):
    def __init__(self):
        super().__init__()
        self.bce = nn.BCELoss()

    def forward(self, scores, probs, target):
        return self.bce(torch.sigmoid(scores), target) + self.bce(probs, target)
