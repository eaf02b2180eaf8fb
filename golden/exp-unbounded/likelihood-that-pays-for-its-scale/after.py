import math

import torch
from torch import nn


class ConditionalGaussian(nn.Module):
    def __init__(self, width, features):
        super().__init__()
        self.head = nn.Linear(width, 2 * features)

    def log_prob(self, inputs, context):
        means, log_stds = self.head(context).chunk(2, dim=-1)
        log_stds = log_stds.clamp(min=-15.0, max=10.0)
        standardised = (inputs - means) * torch.exp(-log_stds)
        log_prob = -0.5 * (standardised**2).sum(dim=-1)
        log_prob -= log_stds.sum(dim=-1)
        log_prob -= 0.5 * inputs.shape[-1] * math.log(2 * math.pi)
        return log_prob
