import torch


def train(model, loader, loss_fn, seen):
    optimizer = torch.optim.Adam(model.parameters())
    for x, y in loader:
        optimizer.zero_grad()
        out = model(x)
        out.register_hook(lambda grad: seen.append(grad.shape))
        loss_fn(out, y).backward()
        optimizer.step()
