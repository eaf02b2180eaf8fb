import torch


def standardise(model, images):
    with torch.autocast("cuda", dtype=torch.float16):
        x = model(images)
    with torch.autocast("cuda", enabled=False):
        spread = x.std(dim=-1, keepdim=True)
        return x / (spread + 1e-8)
