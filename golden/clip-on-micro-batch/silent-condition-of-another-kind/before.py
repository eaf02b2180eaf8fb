import torch


def train(model, optimizer, loader, frozen, report_every=10):
    for i, batch in enumerate(loader):
        model(**batch).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        if not frozen:
            optimizer.step()
            optimizer.zero_grad()
        if i % report_every == 0:
            print(i)
