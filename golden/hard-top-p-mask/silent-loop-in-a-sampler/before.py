import torch


def decode_step(logits, routes, threshold):
    probs = torch.softmax(logits, dim=-1)
    order = torch.argsort(probs, descending=True)
    mask = torch.zeros_like(probs)
    cumulative = 0.0
    for index in order.tolist():
        mask[index] = 1.0
        cumulative += probs[index].item()
        if cumulative >= threshold:
            break
    return routes * mask
