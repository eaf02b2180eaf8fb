import torch


def finetune(build, loader, loss_fn):
    model = build()
    optimizer = torch.optim.Adam(model.parameters())
    model = model.head
    for x, y in loader:
        optimizer.zero_grad()
        loss_fn(model(x), y).backward()
        optimizer.step()
