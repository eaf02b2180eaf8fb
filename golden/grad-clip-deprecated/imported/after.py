import torch
from torch.nn.utils import clip_grad_norm_


def train(model, loader, optimizer, criterion):
    for x, y in loader:
        optimizer.zero_grad()
        criterion(model(x), y).backward()
        norm = clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        print(float(norm))
