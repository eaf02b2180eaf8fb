import torch


class Trainer:
    def policy_loss(self, distribution, actions, old_log_prob, advantages):
        log_prob = distribution.log_prob(actions)
        ratio = torch.exp((log_prob - old_log_prob).clamp(min=-20.0, max=20.0))
        unclipped = ratio * advantages
        clipped = torch.clamp(ratio, 0.8, 1.2) * advantages
        return -torch.min(unclipped, clipped).mean()
