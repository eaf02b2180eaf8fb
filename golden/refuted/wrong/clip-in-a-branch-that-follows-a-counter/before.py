import torch


def train(model, loader, optimizer):
    for step, x in enumerate(loader):
        optimizer.zero_grad()
        loss = model(x)
        loss.backward()
        if step % 2 == 0:
            log(step)
        optimizer.step()
