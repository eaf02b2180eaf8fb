import torch
from torch import nn
from torch.distributions import Normal, kl_divergence


class Autoencoder(nn.Module):
    def __init__(self, features=16, latent=4):
        super().__init__()
        self.encoder = nn.Linear(features, 2 * latent)
        self.decoder = nn.Linear(latent, features)
        self.log_width = nn.Parameter(torch.zeros(features))

    def forward(self, x):
        mean, log_scale = self.encoder(x).chunk(2, dim=-1)
        posterior = Normal(mean, log_scale.exp())
        z = posterior.rsample()
        return Normal(self.decoder(z), self.log_width.exp()), posterior


def train(loader, epochs):
    model = Autoencoder()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(epochs):
        for x in loader:
            likelihood, posterior = model(x)
            prior = Normal(torch.zeros_like(posterior.loc), 1.0)
            loss = kl_divergence(posterior, prior).sum(-1).mean() - likelihood.log_prob(x).sum(-1).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
