import torch


def train(model, loader, loss_fn):
    for p in model.parameters():
        p.register_hook(lambda grad: grad.clamp(-1.0, 1.0))
    optimizer = torch.optim.Adam(model.parameters())
    for x, y in loader:
        optimizer.zero_grad()
        loss_fn(model(x), y).backward()
        optimizer.step()
