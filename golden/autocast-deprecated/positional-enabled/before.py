import torch


def train_step(model, batch, target, criterion, use_amp):
    with torch.cuda.amp.autocast(use_amp):
        loss = criterion(model(batch), target)
    return loss
