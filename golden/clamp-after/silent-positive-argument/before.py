import torch
import torch.nn.functional as F


def log_rate(x):
    return torch.log(F.softplus(x) + 1e-6).clamp(min=-10.0)
