import torch


def standardise(model, images):
    with torch.autocast("cuda", dtype=torch.bfloat16):
        x = model(images)
        return (x - x.mean(dim=-1, keepdim=True)) / (x.std(dim=-1, keepdim=True) + 1e-8)
