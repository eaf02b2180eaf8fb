import torch


def weigh(gate_logits):
    weights, selected = torch.topk(gate_logits, 2, dim=-1)
    return weights, selected
