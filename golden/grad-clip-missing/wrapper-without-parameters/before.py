import torch


class WarmupAdam:
    def __init__(self, dim, inner):
        self.dim, self.inner, self.count = dim, inner, 0

    def step(self):
        self.count += 1
        for group in self.inner.param_groups:
            group["lr"] = self.dim**-0.5 * min(self.count**-0.5, self.count * 4000**-1.5)
        self.inner.step()

    def zero_grad(self):
        self.inner.zero_grad()


def train(model, loader, loss_fn):
    optimizer = WarmupAdam(512, torch.optim.Adam(model.parameters()))
    for input_ids, y in loader:
        optimizer.zero_grad()
        loss_fn(model(input_ids), y).backward()
        optimizer.step()
