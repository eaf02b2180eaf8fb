import torch
from torch.cuda.amp import GradScaler  # noqa: F401


def forward(model, x, autocast):
    with autocast():
        return model(x)
