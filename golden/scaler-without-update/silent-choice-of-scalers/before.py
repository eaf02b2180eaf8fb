import torch
from torch.cuda.amp import GradScaler
from torch.distributed.fsdp.sharded_grad_scaler import ShardedGradScaler

from project.amp import Passthrough


def train(losses, optimizer, sharded, half):
    scaler = GradScaler() if half else Passthrough()
    for loss in losses:
        scaler.scale(loss).backward()
        scaler.step(optimizer)
