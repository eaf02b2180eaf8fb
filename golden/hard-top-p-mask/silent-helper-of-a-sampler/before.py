import torch


def gate_mask(probs, p):
    ranked, order = probs.sort(dim=-1, descending=True)
    keep = (ranked.cumsum(dim=-1) - ranked < p).float()
    return torch.zeros_like(probs).scatter(-1, order, keep)


def generate(model, ids, steps, p=0.9):
    for _ in range(steps):
        probs = model(ids)[:, -1].softmax(dim=-1)
        probs = probs * gate_mask(probs, p)
        ids = torch.cat([ids, torch.multinomial(probs, 1)], dim=1)
    return ids
