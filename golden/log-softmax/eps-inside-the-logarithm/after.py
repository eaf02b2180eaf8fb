import torch
import torch.nn as nn
import torch.nn.functional as F


class Distiller(nn.Module):
    def __init__(self, width, classes):
        super().__init__()
        self.head = nn.Linear(width, classes)

    def forward(self, hidden, teacher):
        logits = self.head(hidden)
        return -(teacher * F.log_softmax(logits, dim=-1)).sum(-1).mean()
