import torch


@torch.no_grad()
def perplexity_of(policy, log_std):
    return torch.exp(log_std).mean()


class Agent:
    def train(self):
        self.logger.record("train/std", torch.exp(self.policy.log_std).mean().item())
