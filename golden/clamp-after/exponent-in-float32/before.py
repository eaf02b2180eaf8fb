import torch


def weights(log_ratio, advantage):
    ratio = torch.exp(log_ratio.float()).clamp(max=100.0)
    return -(ratio * advantage).mean()
