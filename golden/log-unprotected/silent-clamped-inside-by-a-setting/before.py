import torch
from torch import nn


class LogRatio(nn.Module):
    def __init__(self, least=1e-3):
        super().__init__()
        self.least = least

    def forward(self, x, z, covariance):
        bound = (1 - self.least**2) ** 0.5
        rho = torch.clip(covariance, min=-bound, max=bound)
        return -0.5 * torch.log(1 - rho**2) + rho / (1 - rho**2) * x * z
