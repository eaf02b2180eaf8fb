import torch
import torch.nn.functional as F


def full_batch(model, loader, epochs=100):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    last = len(loader) - 1
    for _ in range(epochs):
        optimizer.zero_grad()
        for i, (x, y) in enumerate(loader):
            F.mse_loss(model(x), y, reduction="sum").backward()
            if i == last:
                optimizer.step()
