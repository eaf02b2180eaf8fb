import math

import torch


def log_partition(values):
    return torch.tensor(math.log(sum(math.exp(v) for v in values)))
