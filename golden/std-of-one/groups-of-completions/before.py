import torch


def group_advantages(rewards, num_generations):
    grouped = rewards.view(-1, num_generations)
    mean = grouped.mean(dim=1, keepdim=True)
    return (grouped - mean) / (grouped.std(dim=1, keepdim=True) + 1e-4)
