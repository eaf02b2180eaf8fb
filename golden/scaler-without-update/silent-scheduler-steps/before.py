import torch
from torch.cuda.amp import GradScaler, autocast
from torch.nn.functional import mse_loss as nn_loss


def train(model, loader, optimizer):
    schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)
    scaler = GradScaler(enabled=False)
    assert not scaler.is_enabled()
    for x, y in loader:
        optimizer.zero_grad()
        loss = nn_loss(model(x), y)
        loss.backward()
        optimizer.step()
        schedule.step(loss.item())
