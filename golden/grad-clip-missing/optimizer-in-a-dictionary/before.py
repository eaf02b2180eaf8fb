import torch


def train(state, loader, loss_fn):
    for input_ids, y in loader:
        state["optimizer"].zero_grad()
        loss_fn(state["model"](input_ids), y).backward()
        state["optimizer"].step()
