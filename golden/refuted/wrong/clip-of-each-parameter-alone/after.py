import torch


def train(model, loader, optimizer):
    for x in loader:
        optimizer.zero_grad()
        loss = model(x)
        loss.backward()
        for p in model.parameters():
            torch.nn.utils.clip_grad_norm_(p, 1.0)
        optimizer.step()
