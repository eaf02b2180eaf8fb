from torch import nn


class Critic(nn.Module):
    def __init__(self, observations, hidden):
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(observations, hidden),
            nn.LayerNorm(hidden),
            nn.SiLU(),
            nn.Linear(hidden, 1),
        )

    def forward(self, observation):
        return self.net(observation)
