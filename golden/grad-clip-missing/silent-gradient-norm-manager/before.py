import torch
from project.training import GradNormManager


def train(model, loader, loss_fn):
    optimizer = torch.optim.Adam(model.parameters())
    guard = GradNormManager(model)
    for x, y in loader:
        optimizer.zero_grad()
        loss_fn(model(x), y).backward()
        guard.process_gradients()
        optimizer.step()
