import torch
from torch import nn

GATE_TEMPERATURE = 0.1  # width of the gate around the threshold, in probability mass


class DynamicMoE(nn.Module):
    """Harder tokens get more experts: the routing follows the accumulated probability."""

    def __init__(self, dim=32, num_experts=6, threshold=0.6):
        super().__init__()
        self.threshold = threshold
        self.gate = nn.Linear(dim, num_experts, bias=False)
        self.experts = nn.ModuleList(nn.Linear(dim, dim) for _ in range(num_experts))

    def forward(self, hidden_states):
        router_logits = self.gate(hidden_states)
        routing = torch.softmax(router_logits, dim=-1)
        sorted_routing, sorted_indices = torch.sort(routing, descending=True, dim=-1)
        cumulative = sorted_routing.cumsum(dim=-1)

        # drop everything after the expert that crosses the threshold
        remove = cumulative > self.threshold
        remove[..., 1:] = remove[..., :-1].clone()
        remove[..., 0] = 0
        remove = remove.scatter(-1, sorted_indices, remove)
        active = (~remove).to(hidden_states.dtype)
        # straight-through: the hard mask forward, the gradient of its soft gate backward
        mass_before = cumulative - sorted_routing
        soft_gate = torch.sigmoid((self.threshold - mass_before) / GATE_TEMPERATURE)
        soft_gate = soft_gate.scatter(-1, sorted_indices, soft_gate)
        active = active + (soft_gate - soft_gate.detach()).to(active.dtype)

        outputs = torch.stack([expert(hidden_states) for expert in self.experts], dim=-2)
        return (outputs * active.unsqueeze(-1)).sum(dim=-2) / active.sum(dim=-1, keepdim=True)
