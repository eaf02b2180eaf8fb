from torch import nn


class Merger(nn.Module):
    def __init__(self, dim, hidden):
        super().__init__()
        self.proj = nn.Linear(dim, hidden)
        self.post_norm = nn.LayerNorm(hidden)
        self.act = nn.GELU()
        self.down = nn.Linear(hidden, dim)
        self.last_norm = nn.LayerNorm(dim)

    def forward(self, x):
        x = self.post_norm(self.proj(x))
        x = self.act(x)
        x = self.down(x)
        return self.last_norm(x).relu()
