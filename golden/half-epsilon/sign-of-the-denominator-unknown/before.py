import torch


def relative(prediction, target):
    with torch.autocast("cuda", dtype=torch.float16):
        mean = target.mean(dim=-1, keepdim=True)
        return (prediction - target).abs() / (mean + 1e-8)
