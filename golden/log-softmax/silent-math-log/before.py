import math

import torch


def surprise(logits):
    probs = torch.softmax(logits, dim=-1)
    return -math.log(probs[0].item())
