import torch


def train(model, loader, loss_fn):
    optimizer = torch.optim.AdamW(
        [
            {"params": model.backbone.parameters(), "lr": 1e-5},
            {"params": model.head.parameters(), "lr": 1e-3},
        ],
        weight_decay=0.01,
    )
    for input_ids, y in loader:
        optimizer.zero_grad()
        loss_fn(model(input_ids), y).backward()
        optimizer.step()
