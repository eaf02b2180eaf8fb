import torch


def step(model, batch, use_amp):
    with torch.amp.autocast("cuda"):
        return model(batch)
