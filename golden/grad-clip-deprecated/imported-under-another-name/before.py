from torch import nn, optim
from torch.nn.utils import clip_grad_norm as clip


def train(model: nn.Module, loader):
    optimizer = optim.SGD(model.parameters(), lr=1.0)
    for x, y in loader:
        model.zero_grad()
        nn.functional.nll_loss(model(x), y).backward()
        clip(model.parameters(), 0.25)
        optimizer.step()
