import torch
from torch import nn


class Encoder(nn.Module):
    def __init__(self, width, latent):
        super().__init__()
        self.fc1 = nn.Linear(width, width)
        self.fc_mean = nn.Linear(width, latent)
        self.fc_spread = nn.Linear(width, latent)

    def forward(self, x):
        hidden = torch.relu(self.fc1(x))
        z_mean, z_sigma = self.fc_mean(hidden), torch.exp(self.fc_spread(hidden).clamp(min=-15.0, max=10.0))
        return z_mean, z_sigma
