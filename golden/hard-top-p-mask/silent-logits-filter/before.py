import torch
import torch.nn.functional as F


def restrict(logits, gate_heads, p):
    """Keeps the nucleus of each head's logits."""
    sorted_logits, sorted_indices = torch.sort(logits, descending=True)
    cumulative = torch.cumsum(F.softmax(sorted_logits, dim=-1), dim=-1)
    remove = cumulative > p
    remove[..., 1:] = remove[..., :-1].clone()
    remove[..., 0] = 0
    remove = remove.scatter(1, sorted_indices, remove)
    return logits.masked_fill(remove, float("-inf")) * gate_heads
