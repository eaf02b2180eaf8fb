import torch


def pack_experts(lengths, limit, tokens):
    """Fills a batch with the longest sequences until the limit is reached."""
    order = torch.argsort(lengths, descending=True)
    chosen = torch.zeros_like(lengths)
    total = 0
    for index in order.tolist():
        chosen[index] = 1
        total += lengths[index].item()
        if total >= limit:
            break
    return tokens * chosen[:, None]
