from torch import nn


class Embeddings(nn.Module):
    def __init__(self, words, positions, dim):
        super().__init__()
        self.words = nn.Embedding(words, dim)
        self.positions = nn.Embedding(positions, dim)
        self.norm = nn.LayerNorm(dim)

    def forward(self, ids, places):
        return self.norm(self.words(ids) + self.positions(places))


class Fusion(nn.Module):
    def __init__(self, first, second, dim):
        super().__init__()
        self.first = nn.Linear(first, dim)
        self.second = nn.Linear(second, dim)
        self.norm = nn.LayerNorm(dim)

    def forward(self, a, b):
        return self.norm(self.first(a) + self.second(b))
