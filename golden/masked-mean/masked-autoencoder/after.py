import torch


class MaskedAutoencoder(torch.nn.Module):
    def forward(self, pixels):
        encoded = self.encoder(pixels)
        mask = encoded.mask
        error = ((self.decoder(encoded) - self.patches(pixels)) ** 2).mean(dim=-1)
        return (error * mask).sum() / mask.sum().clamp_min(1)
