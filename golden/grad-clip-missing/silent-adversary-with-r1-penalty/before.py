import torch
from torch import nn

from project import Discriminator, Generator, r1_penalty


class FaceModel:
    def __init__(self, options):
        self.generator, self.discriminator = Generator(), Discriminator()
        self.optimizer_g = torch.optim.Adam(self.generator.parameters(), lr=2e-3, betas=(0.0, 0.99))
        self.optimizer_d = torch.optim.Adam(self.discriminator.parameters(), lr=2e-3, betas=(0.0, 0.99))
        self.r1_reg_weight = options["r1_reg_weight"]

    def train(self, loader):
        for real, noise in loader:
            self.optimizer_d.zero_grad()
            fake = self.generator(noise).detach()
            logits = self.discriminator(real.requires_grad_())
            loss_d = nn.functional.softplus(-logits).mean() + nn.functional.softplus(self.discriminator(fake)).mean()
            (loss_d + self.r1_reg_weight * r1_penalty(logits, real)).backward()
            self.optimizer_d.step()

            self.optimizer_g.zero_grad()
            loss_g = nn.functional.softplus(-self.discriminator(self.generator(noise))).mean()
            loss_g.backward()
            self.optimizer_g.step()
