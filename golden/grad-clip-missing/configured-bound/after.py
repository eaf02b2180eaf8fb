import torch


def train(model, loader, loss_fn):
    optimizer = torch.optim.Adam(model.parameters())
    for input_ids, y in loader:
        optimizer.zero_grad()
        loss_fn(model(input_ids), y).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm=0.5)
        optimizer.step()
