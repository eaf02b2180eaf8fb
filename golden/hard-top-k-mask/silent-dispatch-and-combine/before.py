import torch
import torch.nn.functional as F
from torch import nn


class Top1Router(nn.Module):
    """A mask dispatches the tokens; the router learns through the weights that combine them."""

    def __init__(self, dim=32, experts=4, capacity=8):
        super().__init__()
        self.num_experts, self.capacity = experts, capacity
        self.gate = nn.Linear(dim, experts)

    def forward(self, tokens):
        logits = self.gate(tokens)
        probs = F.softmax(logits, dim=-1)
        index = probs.argmax(dim=-1)
        mask = F.one_hot(index, self.num_experts)
        position = (mask.cumsum(dim=0) - 1) * mask
        mask = mask * (position < self.capacity)
        weight = (probs * mask).sum(dim=-1)
        slots = F.one_hot(position.sum(dim=-1), self.capacity).float()
        combine = weight[:, None, None] * mask[..., None] * slots[:, None]
        return combine, combine.bool()
