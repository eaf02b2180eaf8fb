import torch
from torch import nn


class Switch(nn.Module):
    def __init__(self, dim, hidden, num_experts):
        super().__init__()
        self.gate = nn.Linear(dim, num_experts)
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(dim, hidden), nn.ReLU(), nn.Linear(hidden, dim)) for _ in range(num_experts)
        )

    def forward(self, x):
        probs = torch.softmax(self.gate(x), dim=-1)
        weight, chosen = probs.max(dim=-1)
        out = torch.zeros_like(x)
        for number, expert in enumerate(self.experts):
            mine = chosen == number
            out[mine] = expert(x[mine]) * weight[mine].unsqueeze(-1)
        return out


class Gathered(nn.Module):
    def __init__(self, dim, hidden, num_experts):
        super().__init__()
        self.gate = nn.Linear(dim, num_experts)
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(dim, hidden), nn.ReLU(), nn.Linear(hidden, dim)) for _ in range(num_experts)
        )

    def forward(self, x):
        outputs = torch.stack([expert(x) for expert in self.experts], dim=1)
        probs = torch.softmax(self.gate(x), dim=-1)
        choice = probs.argmax(dim=-1)
        rows = torch.arange(x.shape[0], device=x.device)
        return outputs[rows, choice] * probs[rows, choice].unsqueeze(-1)
