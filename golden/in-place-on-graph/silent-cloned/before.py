import torch
from torch import nn


class Router(nn.Module):
    def forward(self, logits, dropped):
        p = logits.softmax(-1).clone()
        p[dropped] = 0
        q = logits.sigmoid().detach()
        q += 1
        return p * q
