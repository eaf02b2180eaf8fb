import torch
from torch.cuda.amp import *


def forward(model, x):
    with autocast():
        return model(x)
