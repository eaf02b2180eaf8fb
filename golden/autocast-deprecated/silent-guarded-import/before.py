import torch

try:
    from torch.amp import autocast
except ImportError:
    from torch.cuda.amp import autocast


def forward(model, x):
    with autocast("cuda"):
        return model(x)
