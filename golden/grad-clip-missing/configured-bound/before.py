import torch


def train(model, loader, loss_fn):
    optimizer = torch.optim.Adam(model.parameters())
    for input_ids, y in loader:
        optimizer.zero_grad()
        loss_fn(model(input_ids), y).backward()
        optimizer.step()
