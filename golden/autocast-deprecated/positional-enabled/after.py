import torch


def train_step(model, batch, target, criterion, use_amp):
    with torch.amp.autocast("cuda", enabled=use_amp):
        loss = criterion(model(batch), target)
    return loss
