import math

import torch


def weights(values):
    total = sum(math.exp(v) for v in values)
    return torch.tensor([math.exp(v) / total for v in values])
