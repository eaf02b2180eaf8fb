import torch
import torch.nn.functional as F


def scale_down(x, energy):
    return x / torch.sqrt(F.relu(energy).clamp_min(torch.finfo(energy.dtype).eps))
