import torch


def reinforce_loss(rewards, log_probs, discount):
    returns = torch.zeros(len(rewards))
    following = 0.0
    for i in reversed(range(len(rewards))):
        following = rewards[i] + discount * following
        returns[i] = following
    returns = (returns - returns.mean()) / (returns.std() + 1e-8)
    return -(torch.stack(log_probs) * returns).sum()
