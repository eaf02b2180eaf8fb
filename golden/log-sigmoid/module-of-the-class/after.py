import torch
import torch.nn as nn


class Gate(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.linear = nn.Linear(width, 1)
        self.act = nn.Sigmoid()

    def forward(self, hidden):
        logits = self.linear(hidden)
        return hidden, nn.functional.logsigmoid(logits)
