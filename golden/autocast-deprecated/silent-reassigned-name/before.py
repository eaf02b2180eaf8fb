import torch
from torch.cuda.amp import autocast

if not torch.cuda.is_available():
    autocast = torch.no_grad


def forward(model, x):
    with autocast():
        return model(x)
