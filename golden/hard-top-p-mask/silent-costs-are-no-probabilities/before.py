import torch


def plan_experts(costs, values, budget):
    """The cheapest jobs that fit into the budget, for each branch."""
    ranked, order = torch.sort(costs, dim=1)
    allowed = (torch.cumsum(ranked, dim=1) - ranked) < budget[:, None]
    selected = torch.zeros_like(allowed).scatter(1, order, allowed)
    return (values * selected).sum(dim=1)
