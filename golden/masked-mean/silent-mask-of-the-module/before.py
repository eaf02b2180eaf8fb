import torch
import torch.nn.functional as F


class Window(torch.nn.Module):
    def __init__(self, size):
        super().__init__()
        self.register_buffer("mask", torch.hann_window(size))

    def forward(self, x):
        return (x * self.mask).sum(-1) / self.mask.sum()
