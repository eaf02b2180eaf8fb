import torch
from torch import nn

from project import ReplayBuffer


class BanditPosterior(nn.Module):
    def __init__(self, width, actions, noise_std=0.1):
        super().__init__()
        self.mean = nn.Sequential(nn.Linear(width, 64), nn.ReLU(), nn.Linear(64, actions))
        self.noise_std = noise_std
        self.optimizer = torch.optim.Adam(self.parameters(), lr=1e-3)

    def negative_log_likelihood(self, context, rewards, mask):
        log_likelihood = torch.distributions.Normal(self.mean(context), self.noise_std).log_prob(rewards)
        return -(mask * log_likelihood).sum() / len(context)

    def fit(self, buffer: ReplayBuffer, epochs, batch_size):
        for _ in range(epochs):
            context, rewards, mask = buffer.sample(batch_size)
            loss = self.negative_log_likelihood(context, rewards, mask)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
