import torch
import torch.nn.functional as F
from torch import nn


class SwitchRouter(nn.Module):
    def __init__(self, dim=16, experts=4):
        super().__init__()
        self.gate = nn.Linear(dim, experts)

    def forward(self, x):
        probs = F.softmax(self.gate(x), dim=-1)
        weight, index = torch.topk(probs, 1, dim=-1)
        return weight, index


class SharpRouter(SwitchRouter):
    def forward(self, x):
        probs = F.softmax(self.gate(x), dim=-1)
        top, index = torch.topk(probs, 2, dim=-1)
        return torch.softmax(top / 0.1, dim=-1), index
