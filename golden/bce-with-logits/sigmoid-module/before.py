import torch.nn as nn
import torch.nn.functional as F


class Edge(nn.Module):
    def __init__(self):
        super().__init__()
        self.sigmoid = nn.Sigmoid()

    def forward(self, z, y):
        adj = self.sigmoid(z)
        return F.binary_cross_entropy(adj, y)
