import torch
import torch.nn as nn
import torch.nn.functional as F


class Distiller(nn.Module):
    def __init__(self, width, classes):
        super().__init__()
        self.head = nn.Linear(width, classes)

    def forward(self, hidden, teacher):
        probs = F.softmax(self.head(hidden), dim=-1)
        return -(teacher * torch.log(probs + 1e-8)).sum(-1).mean()
