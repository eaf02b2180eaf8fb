from torch import nn


class Embedder(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.head = nn.Sequential(nn.Linear(width, width), nn.ReLU())

    def forward(self, x):
        features = self.head(x)
        return nn.functional.normalize(features, dim=-1)
