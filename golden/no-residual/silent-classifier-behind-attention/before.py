from torch import nn


class Pooled(nn.Module):
    def __init__(self, dim, heads, classes):
        super().__init__()
        self.attn = nn.MultiheadAttention(dim, heads, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, classes))

    def forward(self, query, x):
        pooled, _ = self.attn(query, x, x)
        return self.mlp(pooled)
