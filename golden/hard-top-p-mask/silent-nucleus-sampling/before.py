import torch


def sample_top_p(logits, top_p=0.9, temperature=1.0):
    probs = torch.softmax(logits / temperature, dim=-1)
    sorted_probs, order = torch.sort(probs, dim=-1, descending=True)
    mask = (sorted_probs.cumsum(dim=-1) - sorted_probs) < top_p
    kept = sorted_probs * mask.float()
    choice = torch.multinomial(kept / kept.sum(dim=-1, keepdim=True), 1)
    return order.gather(-1, choice)
