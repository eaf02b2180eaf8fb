import torch


def weigh(gate_logits):
    probs = torch.softmax(gate_logits, dim=-1)
    weights, selected = torch.topk(probs, 2, dim=-1)
    return weights, selected
