import torch
import torch.nn.functional as F


def train(model, loader, accumulate=8):
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4)
    optimizer.zero_grad()
    for i, (x, y) in enumerate(loader):
        loss = F.cross_entropy(model(x), y) / accumulate
        loss.backward()
        if (i + 1) % accumulate == 0:
            # clip the gradient norm
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
