import torch


def train_step(model, views, optimizer, criterion):
    losses = []
    for x, y in views:
        loss = criterion(model(x), y)
        losses.append(loss)
    optimizer.zero_grad()
    total_loss = torch.stack(losses).sum()
    total_loss.backward()
    optimizer.step()
