import torch
import torch.nn.functional as F
from torch import nn


def train(netG, netD, loader, nz):
    optimizerD = torch.optim.Adam(netD.parameters(), lr=2e-4, betas=(0.5, 0.999))
    optimizerG = torch.optim.Adam(netG.parameters(), lr=2e-4, betas=(0.5, 0.999))
    for real in loader:
        noise = torch.randn(real.shape[0], nz)
        netD.zero_grad()
        errD = F.softplus(-netD(real)).mean() + F.softplus(netD(netG(noise).detach())).mean()
        errD.backward()
        nn.utils.clip_grad_norm_(netD.parameters(), max_norm=1.0)
        optimizerD.step()

        netG.zero_grad()
        errG = F.softplus(-netD(netG(noise))).mean()
        errG.backward()
        nn.utils.clip_grad_norm_(netG.parameters(), max_norm=1.0)
        optimizerG.step()
