from torch import nn


class CrossBlock(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.cross_attention = CrossAttention(dim, heads)
        self.norm_q = nn.LayerNorm(dim)

    def forward(self, queries, memory):
        queries = queries + self.cross_attention(queries, memory)
        return self.norm_q(queries)


class CrossAttention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.inner = nn.MultiheadAttention(dim, heads, batch_first=True)

    def forward(self, queries, memory):
        return self.inner(queries, memory, memory)[0]
