import torch
import torch.nn.functional as F
from torch import nn

GATE_TEMPERATURE = 0.1  # width of the gate around the threshold, in probability mass


class SparseMoEBlock(nn.Module):
    def __init__(self, dim=32, num_experts=6, p=0.6):
        super().__init__()
        self.p = p
        self.gate = nn.Linear(dim, num_experts, bias=False)
        self.weight = nn.Parameter(torch.randn(num_experts, dim, dim) / dim**0.5)

    def forward(self, hidden_states):
        routing_weights = F.softmax(self.gate(hidden_states), dim=-1, dtype=torch.float)
        sorted_weights, sorted_experts = torch.sort(routing_weights, dim=-1, descending=True)
        cumulative = torch.cumsum(sorted_weights, dim=-1)
        reached = cumulative > self.p
        first = reached.long().argmax(dim=-1, keepdim=True)
        keep = torch.arange(reached.shape[-1], device=reached.device) <= first
        expert_mask = torch.zeros_like(routing_weights).scatter(-1, sorted_experts, keep.to(routing_weights.dtype))
        # straight-through: the hard mask forward, the gradient of its soft gate backward
        mass_before = cumulative - sorted_weights
        soft_gate = torch.sigmoid((self.p - mass_before) / GATE_TEMPERATURE)
        soft_gate = soft_gate.scatter(-1, sorted_experts, soft_gate)
        expert_mask = expert_mask + (soft_gate - soft_gate.detach()).to(expert_mask.dtype)
        outputs = torch.einsum("btd,edf->btef", hidden_states, self.weight)
        return torch.einsum("btef,bte->btf", outputs, expert_mask.to(hidden_states.dtype))
