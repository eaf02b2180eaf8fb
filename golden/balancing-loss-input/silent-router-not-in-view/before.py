import torch
import torch.nn.functional as F
from torch import nn


def load_balancing_loss(gate_logits, num_experts, top_k):
    if isinstance(gate_logits, tuple):
        all_logits = torch.cat(gate_logits, dim=0)
    probs = F.softmax(all_logits, dim=-1)
    _, chosen = torch.topk(probs, top_k, dim=-1)
    share = F.one_hot(chosen, num_experts).float().mean(dim=(0, 1))
    return num_experts * (share * probs.mean(dim=0)).sum()
