import torch
from torch.distributed.fsdp import FullyShardedDataParallel as FSDP


def train(model, loader, loss_fn):
    model = FSDP(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    for input_ids, y in loader:
        optimizer.zero_grad()
        loss_fn(model(input_ids), y).backward()
        model.clip_grad_norm_(max_norm=1.0)
        optimizer.step()
