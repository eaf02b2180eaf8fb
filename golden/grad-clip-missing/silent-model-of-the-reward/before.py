import torch
from torch import nn

from project import RewardNet


class RewardLearner:
    def __init__(self, width, policy):
        self.reward_model = RewardNet(width)
        self.policy = policy
        self.optimizer = torch.optim.Adam(self.reward_model.parameters(), lr=1e-3)

    def fit(self, loader):
        for demonstrations, samples in loader:
            log_prob = self.policy.log_prob(samples).detach()
            expert, own = self.reward_model(demonstrations), self.reward_model(samples)
            logits = torch.cat([expert, own - log_prob])
            labels = torch.cat([torch.ones_like(expert), torch.zeros_like(own)])
            loss = nn.functional.binary_cross_entropy_with_logits(logits, labels)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
