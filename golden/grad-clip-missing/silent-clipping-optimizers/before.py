import torch
from apex.optimizers import FusedLAMB
from transformers import Adafactor


def pretrain(model, loader, loss_fn):
    optimizer = FusedLAMB(model.parameters(), lr=1e-3)
    for x, y in loader:
        optimizer.zero_grad()
        loss_fn(model(x), y).backward()
        optimizer.step()


def finetune(model, loader, loss_fn):
    optimizer = Adafactor(model.parameters(), lr=1e-3, relative_step=False)
    for x, y in loader:
        optimizer.zero_grad()
        loss_fn(model(x), y).backward()
        optimizer.step()


def by_sign(model, loader, loss_fn):
    optimizer = torch.optim.Rprop(model.parameters())
    for x, y in loader:
        optimizer.zero_grad()
        loss_fn(model(x), y).backward()
        optimizer.step()
