import torch


def train_epoch(model, auxiliary, loader, optimizer):
    total_penalty = 0.0
    for x, y in loader:
        optimizer.zero_grad()
        loss_task = torch.nn.functional.cross_entropy(model(x), y)
        loss_penalty = auxiliary(x).square().mean()
        loss_task.backward()
        optimizer.step()
        total_penalty = total_penalty + loss_penalty
    total_penalty.backward()
