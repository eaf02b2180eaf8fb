import torch
from torch import nn
from torch.nn import functional as F


class Router(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.w_gate = nn.Parameter(torch.randn(config.hidden_size, config.num_experts))

    def forward(self, x):
        return F.softmax(torch.mm(x, self.w_gate), dim=-1)
