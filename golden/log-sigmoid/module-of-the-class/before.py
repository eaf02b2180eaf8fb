import torch
import torch.nn as nn


class Gate(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.linear = nn.Linear(width, 1)
        self.act = nn.Sigmoid()

    def forward(self, hidden):
        keep = self.act(self.linear(hidden))
        return hidden, torch.log(keep)
