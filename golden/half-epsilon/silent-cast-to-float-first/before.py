import torch


def standardise(model, images):
    with torch.autocast("cuda", dtype=torch.float16):
        x = model(images).float()
        return (x - x.mean(dim=-1, keepdim=True)) / (x.std(dim=-1, keepdim=True) + 1e-8)
