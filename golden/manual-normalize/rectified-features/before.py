from torch import nn


class Embedder(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.head = nn.Sequential(nn.Linear(width, width), nn.ReLU())

    def forward(self, x):
        features = self.head(x)
        return features / features.norm(dim=-1, keepdim=True)
