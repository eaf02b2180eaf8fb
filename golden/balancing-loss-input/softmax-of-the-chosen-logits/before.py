import torch
import torch.nn.functional as F
from torch import nn


def load_balancing_loss(gate_logits, num_experts, top_k):
    if isinstance(gate_logits, tuple):
        gate_logits = torch.cat(gate_logits, dim=0)
    weights, chosen = torch.topk(gate_logits, top_k, dim=-1)
    weights = weights.softmax(dim=-1)
    share = F.one_hot(chosen, num_experts).float().mean(dim=(0, 1))
    return num_experts * (share * weights.mean(dim=-1, keepdim=True)).sum()
