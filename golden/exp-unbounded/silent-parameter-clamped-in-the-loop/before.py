import math

import torch
from torch import nn


class Clip(nn.Module):
    def __init__(self):
        super().__init__()
        self.logit_scale = nn.Parameter(torch.ones([]))

    def forward(self, image, text):
        return self.logit_scale.exp() * image @ text.t()


def train(model, loader, optimizer):
    for image, text in loader:
        model(image, text).diag().mean().backward()
        optimizer.step()
        with torch.no_grad():
            model.logit_scale.clamp_(0, math.log(100))
