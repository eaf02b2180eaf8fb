import torch
import torch.nn.functional as F


def attend(query, key, value):
    scores = (query @ key.transpose(-1, -2)).float()
    weights = F.softmax(scores, dim=-1, dtype=scores.dtype)
    return weights.to(value.dtype) @ value


def route(module, hidden):
    logits = module.gate(hidden.to(module.router_dtype))
    return F.softmax(logits, dim=-1, dtype=module.router_dtype).to(hidden.dtype)


def weigh(scores, value):
    with torch.autocast("cuda", enabled=False):
        return F.softmax(scores, dim=-1, dtype=scores.dtype) @ value


@torch.no_grad()
def sample(logits):
    return torch.multinomial(F.softmax(logits, dim=-1, dtype=logits.dtype), 1)
