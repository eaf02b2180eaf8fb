import torch
import torch.nn.functional as F


def discriminator_loss(real_scores, fake_scores):
    real = torch.log(torch.sigmoid(real_scores))
    fake = torch.log(1 - torch.sigmoid(fake_scores))
    return -(real + fake).mean()
