import torch
import torch.nn.functional as F


def train(generator, critic, loader, latent=64):
    opt_g = torch.optim.Adam(generator.parameters(), lr=1e-4)
    opt_c = torch.optim.Adam(critic.parameters(), lr=4e-4)
    for real in loader:
        z = torch.randn(real.size(0), latent)
        fake = generator(z).detach()
        opt_c.zero_grad()
        loss_c = F.relu(1 - critic(real)).mean() + F.relu(1 + critic(fake)).mean()
        loss_c.backward()
        opt_c.step()

        loss_g = -critic(generator(z)).mean()
        opt_g.zero_grad(set_to_none=True)
        loss_g.backward()
        opt_g.step()
