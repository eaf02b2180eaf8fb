import torch
import torch.nn as nn
import torch.nn.functional as F


class Policy(nn.Module):
    def __init__(self, width, actions):
        super().__init__()
        self.head = nn.Linear(width, actions)

    def forward(self, state):
        logits = self.head(state)
        probs = F.softmax(logits, dim=-1)  # (batch, actions)
        entropy = -(probs * F.log_softmax(logits, dim=-1)).sum(-1)
        return probs, entropy
