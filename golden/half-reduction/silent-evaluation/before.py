import torch


@torch.no_grad()
def predict(logits):
    return torch.softmax(logits.half(), dim=-1)
