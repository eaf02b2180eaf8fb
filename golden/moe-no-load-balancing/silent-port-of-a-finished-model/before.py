import torch
import torch.nn.functional as F
from torch import nn


from .configuration_moe import MoEConfig


class SparseMoeBlock(nn.Module):
    def __init__(self, config: MoEConfig):
        super().__init__()
        self.top_k = config.num_experts_per_tok
        self.gate = nn.Linear(config.hidden_size, config.num_experts, bias=False)
        self.experts = nn.ModuleList([nn.Linear(config.hidden_size, config.hidden_size) for _ in range(config.num_experts)])

    def forward(self, x):
        weights, chosen = F.softmax(self.gate(x), dim=-1).topk(self.top_k, dim=-1)
        out = torch.zeros_like(x)
        for e, expert in enumerate(self.experts):
            token, rank = torch.where(chosen == e)
            out = out.index_add(0, token, weights[token, rank, None] * expert(x[token]))
        return out
