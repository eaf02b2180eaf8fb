import torch
from torch import nn


class ConditionalNormal(nn.Module):
    def __init__(self, encoder):
        super().__init__()
        self.encoder = encoder

    def _parameters_of(self, context):
        means, log_stds = self.encoder(context).chunk(2, dim=-1)
        return means, log_stds

    def log_prob(self, inputs, context):
        means, log_stds = self._parameters_of(context)
        normed = (inputs - means) * torch.exp(-log_stds)
        return -0.5 * normed.square().sum(-1) - log_stds.sum(-1)

    def sample(self, context):
        means, log_stds = self._parameters_of(context)
        return means + torch.exp(log_stds) * torch.randn_like(means)
