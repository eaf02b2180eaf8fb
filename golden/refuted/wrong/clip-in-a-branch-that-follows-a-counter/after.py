import torch


def train(model, loader, optimizer):
    for step, x in enumerate(loader):
        optimizer.zero_grad()
        loss = model(x)
        loss.backward()
        if step % 2 == 0:
            log(step)
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
