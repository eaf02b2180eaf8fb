import torch


def fit(model, loader, every=4):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for i, (x, y) in enumerate(loader):
        loss = (model(x) - y).square().mean() / every
        loss.backward()
        if (i + 1) % every == 0:
            optimizer.step()
