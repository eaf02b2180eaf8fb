import torch


def compute_gae(rewards, values, last_values, not_done, discount, trace):
    """rewards, values: (steps, environments, 1)."""
    advantage = 0
    advantages = torch.zeros_like(rewards)
    steps = rewards.shape[0]
    for i in reversed(range(steps)):
        following = values[i + 1] if i < steps - 1 else last_values
        advantage = rewards[i] - values[i] + discount * not_done[i] * (following + trace * advantage)
        advantages[i] = advantage
    returns = advantages + values
    advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
    return returns, advantages
