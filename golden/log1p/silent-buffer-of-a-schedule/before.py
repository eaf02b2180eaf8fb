import torch
from torch import nn


class Diffusion(nn.Module):
    def __init__(self, steps):
        super().__init__()
        betas = torch.linspace(1e-4, 2e-2, steps, dtype=torch.float64)
        kept = torch.cumprod(1 - betas, dim=0)
        self.register_buffer("kept", kept.float())
        self.register_buffer("log_noise", torch.log(1 - kept).float())
