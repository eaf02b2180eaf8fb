import torch
import torch.nn.functional as F


def step(model, x, y):
    logits = model(x)
    probs = logits.sigmoid()
    loss = F.binary_cross_entropy_with_logits(logits, y)
    accuracy = ((probs > 0.5) == (y > 0.5)).float().mean()
    return loss, accuracy
