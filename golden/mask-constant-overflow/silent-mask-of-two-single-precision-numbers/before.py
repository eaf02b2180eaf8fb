import math

import torch
from torch.nn import functional as F


def attention(query, key, value, attend, device):
    bias = torch.where(attend, torch.tensor(0.0, device=device), torch.tensor(-1e9, device=device))
    scores = torch.matmul(query, key.transpose(-2, -1)) / math.sqrt(query.shape[-1]) + bias
    return torch.matmul(F.softmax(scores, dim=-1), value)
