import torch


def finetune(build, loader, loss_fn):
    model = build()
    optimizer = torch.optim.Adam(model.parameters())
    model = model.head
    for input_ids, y in loader:
        optimizer.zero_grad()
        loss_fn(model(input_ids), y).backward()
        optimizer.step()
