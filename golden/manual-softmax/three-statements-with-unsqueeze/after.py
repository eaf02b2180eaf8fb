import torch
import torch.nn as nn
import torch.nn.functional as F


class Attention(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.score = nn.Linear(width, 1)

    def forward(self, hidden):
        scores = self.score(hidden).squeeze(-1)
        # one weight for every step
        attention = F.softmax(scores, dim=1)
        return (attention.unsqueeze(-1) * hidden).sum(1)
