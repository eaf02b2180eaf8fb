import torch
import torch.nn.functional as F


def train(encoder, decoder, discriminator, loader):
    parameters = [*encoder.parameters(), *decoder.parameters()]
    optimizer_ae = torch.optim.Adam(parameters, lr=1e-4)
    optimizer_disc = torch.optim.Adam(discriminator.parameters(), lr=1e-4)
    for images in loader:
        z = encoder(images)
        recon_loss = F.mse_loss(decoder(z), images)
        fool = F.softplus(-discriminator(z)).mean()
        optimizer_ae.zero_grad()
        (recon_loss + 0.1 * fool).backward()
        optimizer_ae.step()

        prior = torch.randn_like(z)
        disc_loss = F.softplus(-discriminator(prior)).mean() + F.softplus(discriminator(z.detach())).mean()
        optimizer_disc.zero_grad()
        disc_loss.backward()
        optimizer_disc.step()
