import torch


def min_max(image):
    low = image.amin(dim=-1, keepdim=True)
    high = image.amax(dim=-1, keepdim=True)
    return (image - low) / (high - low).clamp_min(torch.finfo(torch.result_type(image, 1.0)).eps)
