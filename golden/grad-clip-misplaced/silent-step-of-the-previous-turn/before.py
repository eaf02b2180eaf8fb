import torch


def train(model, batches, optimizer, criterion):
    """The step of each batch is taken at the start of the next turn, while its data load."""
    pending = False
    for x, y in batches:
        if pending:
            optimizer.step()
            optimizer.zero_grad()
        criterion(model(x), y).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        pending = True
