import torch


def heatmap_loss(out, target):
    pred = torch.clamp(torch.sigmoid(out), min=1e-4, max=1 - 1e-4)
    pos = torch.nn.functional.logsigmoid(out) * torch.pow(1 - pred, 2) * target
    neg = torch.nn.functional.logsigmoid(-out) * torch.pow(pred, 2) * (1 - target)
    return -(pos + neg).sum()
