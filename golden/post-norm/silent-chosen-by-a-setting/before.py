from torch import nn


class Layer(nn.Module):
    def __init__(self, dim, heads, norm_first=False):
        super().__init__()
        self.attn = nn.MultiheadAttention(dim, heads, batch_first=True)
        self.norm = nn.LayerNorm(dim)
        self.norm_first = norm_first

    def forward(self, x):
        if self.norm_first:
            h = self.norm(x)
            return x + self.attn(h, h, h)[0]
        return self.norm(x + self.attn(x, x, x)[0])
