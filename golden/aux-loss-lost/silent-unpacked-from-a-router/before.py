import torch
import torch.nn.functional as F
from torch import nn


class Layer(nn.Module):
    """The gate attaches its loss to the weights that it returns, and hands it out for statistics."""

    def __init__(self, gate, experts):
        super().__init__()
        self.gate = gate
        self.experts = experts

    def forward(self, x):
        weights, indices, aux_loss = self.gate(x)
        return self.experts(F.normalize(x, dim=-1), torch.clamp(weights, min=0), indices)
