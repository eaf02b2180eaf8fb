import torch
from torch import nn


class ShapeHead(nn.Module):
    """Predicts ellipses; degenerate ones become circles, and the largest coefficient is made 1."""

    def __init__(self, width):
        super().__init__()
        self.predict = nn.Linear(width, 3)

    def forward(self, features):
        shape = self.predict(features)
        degenerate = (shape < 1e-6).sum(dim=-1, keepdim=True) >= 2
        circle = shape.new_tensor([1.0, 0.0, 1.0]).expand_as(shape)
        shape = torch.where(degenerate, circle, shape)
        return shape / shape.max(dim=-1, keepdim=True)[0]
