import torch
from torch.cuda import amp


def step(model, x, fp16):
    with torch.amp.autocast("cuda", enabled=fp16):
        y = model(x)
    return y
