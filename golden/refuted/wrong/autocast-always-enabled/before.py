import torch


def step(model, batch, use_amp):
    with torch.cuda.amp.autocast(use_amp):
        return model(batch)
