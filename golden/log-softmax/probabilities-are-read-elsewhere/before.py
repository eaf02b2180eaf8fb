import torch
import torch.nn as nn
import torch.nn.functional as F


class Policy(nn.Module):
    def __init__(self, width, actions):
        super().__init__()
        self.head = nn.Linear(width, actions)

    def forward(self, state):
        probs = F.softmax(self.head(state), dim=-1)  # (batch, actions)
        entropy = -(probs * torch.log(probs)).sum(-1)
        return probs, entropy
