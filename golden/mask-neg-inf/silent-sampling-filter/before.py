import torch
import torch.nn.functional as F


def next_token(logits, p):
    ordered, indices = torch.sort(logits, descending=True)
    cumulative = torch.cumsum(F.softmax(ordered, dim=-1), dim=-1)
    remove = cumulative > p
    remove[..., 1:] = remove[..., :-1].clone()
    remove[..., 0] = False
    logits = logits.masked_fill(remove.scatter(1, indices, remove), float("-inf"))
    return torch.multinomial(F.softmax(logits, dim=-1), 1)
