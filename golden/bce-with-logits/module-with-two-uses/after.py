import torch
import torch.nn as nn


class Adversarial(nn.Module):
    def __init__(self):
        super().__init__()
        self.bce = nn.BCEWithLogitsLoss()

    def forward(self, real, fake):
        return self.bce(real, torch.ones_like(real)) + self.bce(fake, torch.zeros_like(fake))
