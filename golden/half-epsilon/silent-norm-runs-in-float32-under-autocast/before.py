import torch


def unit(model, images):
    with torch.autocast("cuda", dtype=torch.float16):
        x = model(images)
        return x / (x.norm(dim=-1, keepdim=True) + 1e-8)
