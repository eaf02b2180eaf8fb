import torch
import torch.nn.functional as F


def discriminator_loss(real_scores, fake_scores):
    real = F.logsigmoid(real_scores)
    fake = F.logsigmoid(-fake_scores)
    return -(real + fake).mean()
