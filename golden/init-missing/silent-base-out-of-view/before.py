from torch import nn

from .base import BasePolicy


class Policy(BasePolicy):
    def __init__(self, features, actions):
        super().__init__()
        self.net = nn.Linear(features, actions)

    def forward(self, x):
        return self.net(x)
