import torch
from torch import nn


class Sampler(nn.Module):
    @torch.no_grad()
    def forward(self, logits, banned):
        p = logits.softmax(-1)
        p[:, banned] = 0
        return torch.multinomial(p, 1)
