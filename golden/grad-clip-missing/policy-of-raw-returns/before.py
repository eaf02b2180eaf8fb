import torch
from torch import nn


class ActorCritic(nn.Module):
    def __init__(self, observations, actions):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(observations, 64), nn.Tanh())
        self.policy = nn.Linear(64, actions)
        self.value = nn.Linear(64, 1)

    def forward(self, x):
        hidden = self.body(x)
        return self.policy(hidden), self.value(hidden).squeeze(-1)


class Agent:
    def __init__(self, observations, actions):
        self.net = ActorCritic(observations, actions)
        self.optimizer = torch.optim.Adam(self.net.parameters(), lr=3e-4)

    def update(self, rollout):
        for obs, action, returns in rollout.batches():
            logits, value = self.net(obs)
            log_prob = torch.distributions.Categorical(logits=logits).log_prob(action)
            advantages = returns - value.detach()
            loss = -(log_prob * advantages).mean() + 0.5 * (value - returns).square().mean()
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
