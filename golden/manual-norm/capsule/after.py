import torch
import torch.nn as nn


class Capsules(nn.Module):
    def forward(self, u):
        length = torch.linalg.vector_norm(u, dim=2)
        return length
