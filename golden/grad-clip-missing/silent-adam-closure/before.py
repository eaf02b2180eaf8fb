import torch


def fit(model, loader):
    optimizer = torch.optim.Adam(model.parameters())
    for x, y in loader:

        def closure():
            optimizer.zero_grad()
            loss = torch.nn.functional.mse_loss(model(x), y)
            loss.backward()
            return loss

        optimizer.step(closure)
