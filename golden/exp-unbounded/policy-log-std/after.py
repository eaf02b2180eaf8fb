import torch
from torch import nn
from torch.distributions import Normal


class Actor(nn.Module):
    def __init__(self, observed, actions):
        super().__init__()
        self.body = nn.Linear(observed, 64)
        self.mean = nn.Linear(64, actions)
        self.log_std = nn.Linear(64, actions)

    def forward(self, observation):
        h = torch.relu(self.body(observation))
        mean, log_std = self.mean(h), self.log_std(h).clamp(min=-20.0, max=2.0)
        return Normal(mean, log_std.exp())
