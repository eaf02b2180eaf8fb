import torch
from torch import nn


class Decoder(nn.Module):
    def __init__(self, width, words):
        super().__init__()
        self.head = nn.Linear(width, words)

    @torch.no_grad()
    def sample(self, x):
        p = torch.softmax(self.head(x), dim=-1)
        p[..., 0] = 0.0
        return p.argmax(-1)
