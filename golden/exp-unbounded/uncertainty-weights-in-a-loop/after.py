import torch
from torch import nn


class WeightedLoss(nn.Module):
    def __init__(self, tasks):
        super().__init__()
        self.log_vars = nn.Parameter(torch.zeros(tasks))

    def forward(self, losses):
        total = 0.0
        for i, loss in enumerate(losses):
            log_vars = self.log_vars.clamp(min=-30.0, max=20.0)
            precision = torch.exp(-log_vars[i])
            total = total + precision * loss + log_vars[i]
        return total
