import numpy as np
import torch


def pool(features, logits, valid):
    logits = logits.clone()
    logits[~valid] = torch.finfo(logits.dtype).min
    weights = torch.softmax(logits, dim=1)
    return (weights.unsqueeze(-1) * features).sum(1)
