import torch


def sinkhorn(cost, steps):
    plan = torch.exp(-cost)
    for _ in range(steps):
        plan = plan / plan.sum(dim=1, keepdim=True)
        plan = plan / plan.sum(dim=0, keepdim=True)
    return plan
