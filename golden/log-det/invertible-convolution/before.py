import torch
import torch.nn as nn


class InvertibleConv(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.weight = nn.Parameter(torch.linalg.qr(torch.randn(channels, channels))[0])

    def log_det(self):
        return torch.log(torch.abs(torch.det(self.weight)))
