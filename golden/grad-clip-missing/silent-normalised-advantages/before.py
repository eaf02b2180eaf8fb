import torch


class Learner:
    def __init__(self, policy, lr):
        self.policy = policy
        self.optimizer = torch.optim.Adam(self.policy.parameters(), lr=lr)

    def update(self, buffer):
        for obs, action, returns in buffer.minibatches(256):
            dist, value = self.policy(obs)
            advantages = returns - value.detach()
            advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-7)
            loss = -(dist.log_prob(action) * advantages).mean()
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
