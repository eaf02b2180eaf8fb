import torch
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module


def train(mlp, mesh, loader):
    mlp = parallelize_module(mlp, mesh, {"up": ColwiseParallel(), "down": RowwiseParallel()})
    optimizer = torch.optim.AdamW(mlp.parameters(), lr=1e-3)
    for input_ids in loader:
        mlp(input_ids).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
