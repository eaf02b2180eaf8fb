import torch
from torch import nn


class GatePenalty(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.gate = nn.Linear(width, 1)

    def forward(self, x):
        with torch.amp.autocast("cuda"):
            kept = torch.relu(self.gate(x))
            return -torch.log(kept + 1e-10).mean()
