import torch
import torch.nn.functional as F
from torch import nn


class Clip(nn.Module):
    def forward(self, a, b):
        return self.logit_scale.clamp(max=4.6052).exp() * a @ b.t()
