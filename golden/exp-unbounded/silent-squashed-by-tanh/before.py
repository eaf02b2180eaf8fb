import torch
from torch import nn

LOG_STD_MAX = 2
LOG_STD_MIN = -5


class Actor(nn.Module):
    def __init__(self, width, actions):
        super().__init__()
        self.mean = nn.Linear(width, actions)
        self.log_std = nn.Linear(width, actions)

    def forward(self, h):
        log_std = torch.tanh(self.log_std(h))
        log_std = LOG_STD_MIN + 0.5 * (LOG_STD_MAX - LOG_STD_MIN) * (log_std + 1)
        return self.mean(h), log_std

    def get_action(self, h):
        mean, log_std = self(h)
        std = log_std.exp()
        return mean + std * torch.randn_like(mean)
