import torch


class SequenceVAE(torch.nn.Module):
    def encode(self, x):
        mean, log_var = self.to_posterior(self.encoder(x)).chunk(2, dim=-1)
        latents = mean + (0.5 * log_var).exp() * torch.randn_like(mean)
        return latents, mean, log_var

    def forward(self, x):
        latents, mean, log_var = self.encode(x)
        kl_loss = 0.5 * (log_var.exp() + mean.square() - log_var - 1.0)
        return self.decoder(latents), kl_loss.sum(dim=-1).mean()
