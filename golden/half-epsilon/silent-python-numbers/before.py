import torch


def average(losses, model):
    model.half()
    total = 0.0
    seen = 0
    for loss in losses:
        total += loss.item()
        seen += 1
    return total / (seen + 1e-8)
