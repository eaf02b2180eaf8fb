import argparse
import torch


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("--max-grad-norm", type=float, default=1.0)
    return parser.parse_args()


def train(model, loader, loss_fn):
    optimizer = torch.optim.AdamW(model.parameters())
    for x, y in loader:
        optimizer.zero_grad()
        loss_fn(model(x), y).backward()
        optimizer.step()
