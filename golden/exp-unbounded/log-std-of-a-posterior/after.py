import torch
from torch import nn


class ConditionalVAE(nn.Module):
    """Generates actions that look like those of the data, given the state."""

    def __init__(self, state, actions, latent):
        super().__init__()
        self.encoder = nn.Linear(state + actions, 64)
        self.mean = nn.Linear(64, latent)
        self.log_std = nn.Linear(64, latent)
        self.decoder = nn.Linear(state + latent, actions)

    def forward(self, state, action):
        h = torch.relu(self.encoder(torch.cat([state, action], dim=1)))
        mean, log_std = self.mean(h), self.log_std(h).clamp(min=-15.0, max=10.0)
        std = torch.exp(log_std)
        z = mean + std * torch.randn_like(std)
        kl_loss = -0.5 * (1 + 2 * log_std - mean.pow(2) - std.pow(2)).mean()
        return self.decoder(torch.cat([state, z], dim=1)), kl_loss
