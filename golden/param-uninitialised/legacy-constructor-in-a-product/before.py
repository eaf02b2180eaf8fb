import torch
from torch import nn
from torch.nn import functional as F


class GraphLayer(nn.Module):
    def __init__(self, in_features, out_features):
        super(GraphLayer, self).__init__()
        self.weight = nn.Parameter(torch.FloatTensor(in_features, out_features))
        self.bias = nn.Parameter(torch.FloatTensor(out_features))

    def forward(self, x, adjacency):
        support = torch.mm(x, self.weight)
        return torch.spmm(adjacency, support) + self.bias
