from torch import nn

from .layers import Attention, FeedForward


class Block(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.attention = Attention(dim, heads)
        self.feed_forward = FeedForward(dim)

    def forward(self, x):
        return self.feed_forward(self.attention(x))
