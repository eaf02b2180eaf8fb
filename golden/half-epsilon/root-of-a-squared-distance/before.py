import torch
from torch.cuda.amp import autocast


@autocast()
def charbonnier(network, images, target):
    difference = network(images) - target
    return torch.sqrt(difference * difference + 1e-12).mean()
