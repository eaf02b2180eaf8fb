import torch
import torch.nn.functional as F


def load_balancing_loss(gate_logits, num_experts, top_k=2):
    weights, selected = torch.topk(gate_logits, top_k, dim=-1)
    weights = weights.softmax(dim=-1)
    chosen = F.one_hot(selected, num_experts).amax(dim=-2).float()
    share = chosen.mean(dim=0)
    return (share * weights.mean(dim=-1).unsqueeze(-1)).mean() * num_experts**2
