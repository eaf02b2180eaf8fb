import torch


class RotationMetric:
    def __call__(self, a, b):
        return torch.acos((a * b).sum(-1).clamp(-1.0, 1.0)).mean()
