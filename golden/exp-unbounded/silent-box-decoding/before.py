import torch


def decode(deltas, boxes, clip=4.135):
    dw = deltas[..., 2].clamp(max=clip)
    dh = deltas[..., 3].clamp(max=clip)
    return torch.exp(dw) * boxes[..., 2], torch.exp(dh) * boxes[..., 3]
