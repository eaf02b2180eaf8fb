import torch


class Cosine:
    def forward(self, x):
        return -x.cos()

    def inverse(self, y):
        eps = torch.finfo(y.dtype).eps
        return ((-y).clamp(-1.0 + eps, 1.0 - eps)).acos()
