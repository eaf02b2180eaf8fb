import torch
from torch.cuda.amp import GradScaler


def make(model):
    """The caller's autocast decides; weights are bfloat16."""
    return GradScaler(), model.to(torch.bfloat16)
