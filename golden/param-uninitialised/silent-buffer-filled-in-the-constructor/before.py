import torch
from torch import nn


class Window(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.register_buffer("window", torch.empty(size))
        torch.hann_window(size, out=self.window)

    def forward(self, x):
        return x * self.window
