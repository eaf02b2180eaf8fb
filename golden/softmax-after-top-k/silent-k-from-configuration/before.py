import torch
from torch import nn


class SparseBlock(nn.Module):
    """Weights that were trained with this order are loaded from checkpoints."""

    def __init__(self, config):
        super().__init__()
        self.top_k = config.num_experts_per_tok
        self.router = nn.Linear(config.hidden_size, config.num_experts, bias=False)

    def forward(self, hidden_states):
        router_logits = self.router(hidden_states)
        top_k_logits, top_k_index = router_logits.topk(self.top_k, dim=-1)
        top_k_weights = torch.softmax(top_k_logits, dim=-1)
        return top_k_weights, top_k_index
