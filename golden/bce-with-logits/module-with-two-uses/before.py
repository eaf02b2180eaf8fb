import torch
import torch.nn as nn


class Adversarial(nn.Module):
    def __init__(self):
        super().__init__()
        self.bce = nn.BCELoss()

    def forward(self, real, fake):
        p_real = torch.sigmoid(real)
        p_fake = torch.sigmoid(fake)
        return self.bce(p_real, torch.ones_like(real)) + self.bce(p_fake, torch.zeros_like(fake))
