import torch
import torch.nn.functional as F
from torch import nn


class Router(nn.Module):
    def forward(self, logits, dropped):
        probabilities = F.softmax(logits, dim=-1)
        probabilities[dropped] = 0
        return probabilities / (probabilities.sum(-1, keepdim=True) + 1e-6)
