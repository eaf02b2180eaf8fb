import torch


def experts_needed(router_logits, p=0.9):
    """How many experts cover a share p of the routing probability: a figure for the log."""
    probs = torch.softmax(router_logits, dim=-1)
    ranked, _ = probs.sort(dim=-1, descending=True)
    inside = ranked.cumsum(dim=-1) - ranked < p
    return inside.sum(dim=-1).float().mean()
