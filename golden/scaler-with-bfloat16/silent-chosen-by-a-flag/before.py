import torch
from torch.cuda.amp import GradScaler


def train(model, losses, optimizer, fp16):
    scaler = GradScaler()
    dtype = torch.half if fp16 else torch.bfloat16
    for x in losses:
        with torch.autocast("cuda", dtype=dtype):
            loss = model(x).mean()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
