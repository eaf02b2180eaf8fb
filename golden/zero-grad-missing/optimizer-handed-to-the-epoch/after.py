import torch.nn.functional as F
from torch import nn


def run_epoch(model, loader, optimizer, device, mode):
    model.train(mode == "train")
    total = 0.0
    for x, y in loader:
        loss = F.mse_loss(model(x.to(device)), y.to(device))
        total += loss.item()
        if mode == "train":
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
    return total / len(loader)
