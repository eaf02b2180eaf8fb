import torch
import torch.nn as nn


class Capsules(nn.Module):
    def forward(self, u):
        length = torch.sqrt((u**2).sum(dim=2))
        return length
