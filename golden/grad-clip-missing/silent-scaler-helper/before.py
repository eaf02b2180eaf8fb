import torch


class LossScaler:
    def __init__(self):
        self.scaler = torch.amp.GradScaler("cuda")

    def __call__(self, loss, optimizer, clip_grad=None, parameters=None):
        self.scaler.scale(loss).backward()
        if clip_grad is not None:
            self.scaler.unscale_(optimizer)
            torch.nn.utils.clip_grad_norm_(parameters, clip_grad)
        self.scaler.step(optimizer)
        self.scaler.update()


def train(model, optimizer, loader, loss_fn, scaler):
    for x, y in loader:
        optimizer.zero_grad()
        scaler(loss_fn(model(x), y), optimizer, parameters=model.parameters())
