import torch


def weights(log_ratio, advantage):
    ratio = torch.exp(log_ratio.float().clamp(max=4.60517))
    return -(ratio * advantage).mean()
