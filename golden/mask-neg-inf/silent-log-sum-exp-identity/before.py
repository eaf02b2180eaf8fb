import torch


def forward_algorithm(emissions, transitions, tags):
    alpha = torch.full((tags,), float("-inf"))
    alpha[0] = 0.0
    for emission in emissions:
        alpha = torch.logsumexp(alpha[:, None] + transitions, dim=0) + emission
    return torch.logsumexp(alpha, dim=0)
