import torch


def charbonnier(prediction, target):
    difference = prediction.to(torch.float16) - target.to(torch.float16)
    return torch.sqrt(difference * difference + max(1e-12, torch.finfo(difference.dtype).tiny)).mean()
