import torch


def train(model, optimizer, loader, every):
    for i, batch in enumerate(loader):
        (model(**batch).loss / every).backward()
        if (i + 1) % every == 0:
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
