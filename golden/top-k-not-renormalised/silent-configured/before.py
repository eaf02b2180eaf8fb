import torch
import torch.nn.functional as F
from torch import nn


class SparseBlock(nn.Module):
    """Published weights were trained with and without the division: the configuration says which."""

    def __init__(self, config):
        super().__init__()
        self.top_k = config.num_experts_per_tok
        self.num_experts = config.num_experts
        self.gate = nn.Linear(config.hidden_size, config.num_experts, bias=False)
        self.experts = nn.Linear(config.hidden_size, config.hidden_size * config.num_experts)

    def forward(self, x):
        probs = F.softmax(self.gate(x), dim=-1, dtype=torch.float)
        weights, selected = torch.topk(probs, self.top_k, dim=-1)
        outputs = self.experts(x).unflatten(-1, (self.num_experts, -1))
        chosen = torch.take_along_dim(outputs, selected.unsqueeze(-1), dim=-2)
        return (weights.unsqueeze(-1) * chosen).sum(dim=-2)
