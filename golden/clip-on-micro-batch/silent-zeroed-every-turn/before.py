import torch


def train(model, optimizer, loader, every):
    for i, batch in enumerate(loader):
        optimizer.zero_grad()
        model(**batch).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        if i % every == 0:
            optimizer.step()
            optimizer.zero_grad()
