import torch
import torch.nn.functional as F
from torch import nn


class HardHeads(nn.Module):
    def __init__(self, dim=32, heads=8):
        super().__init__()
        self.heads = heads
        self.router = nn.Linear(dim, heads)

    def forward(self, x):
        probs = torch.softmax(self.router(x), dim=-1)
        hard = F.one_hot(probs.argmax(dim=-1), self.heads).float()
        mask = hard - probs.detach() + probs
        return (x.unflatten(-1, (self.heads, -1)) * mask.unsqueeze(-1)).flatten(-2)


class NoisyHeads(HardHeads):
    def forward(self, x):
        mask = F.gumbel_softmax(self.router(x), tau=1.0, hard=True)
        kept = F.one_hot(mask.argmax(dim=-1), self.heads).float() * mask
        return (x.unflatten(-1, (self.heads, -1)) * kept.unsqueeze(-1)).flatten(-2)
