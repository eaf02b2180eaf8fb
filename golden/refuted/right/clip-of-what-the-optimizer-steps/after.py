import torch


def train(model, loader, optimizer):
    for x in loader:
        optimizer.zero_grad()
        loss = model(x)
        loss.backward()
        torch.nn.utils.clip_grad_norm_([p for g in optimizer.param_groups for p in g["params"]], 1.0)
        optimizer.step()
