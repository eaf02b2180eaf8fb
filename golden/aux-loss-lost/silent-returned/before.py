import torch
import torch.nn.functional as F
from torch import nn


class SwitchLayer(nn.Module):
    def __init__(self, dim=16, experts=4):
        super().__init__()
        self.router = nn.Linear(dim, experts)
        self.experts = nn.ModuleList(nn.Linear(dim, dim) for _ in range(experts))

    def forward(self, x):
        probs = F.softmax(self.router(x), dim=-1)
        weight, index = probs.max(dim=-1)
        share = F.one_hot(index, len(self.experts)).float().mean(dim=(0, 1))
        load_balancing_loss = len(self.experts) * (share * probs.mean(dim=(0, 1))).sum()
        out = torch.zeros_like(x)
        for number, expert in enumerate(self.experts):
            chosen = index == number
            out[chosen] = expert(x[chosen])
        return out * weight.unsqueeze(-1), load_balancing_loss
