import torch


def train(state, loader, loss_fn):
    for x, y in loader:
        state["optimizer"].zero_grad()
        loss_fn(state["model"](x), y).backward()
        state["optimizer"].step()
