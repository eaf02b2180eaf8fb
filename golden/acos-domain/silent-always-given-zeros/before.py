import torch
from torch import nn


def field_of_view(focal, skew, width):
    """The horizontal field of view of a camera whose centre is shifted by `skew`."""

    def flat(x):
        return x.float() if torch.is_tensor(x) else torch.tensor([x], dtype=torch.float32)

    focal, shift = flat(focal), flat(skew).reshape(-1)
    ratio = (shift / torch.sqrt(1.0 + (2.0 * focal / width) ** 2)).clamp(-1.0, 1.0)
    return torch.asin(ratio) + torch.atan(width / (2.0 * focal))


class Rays(nn.Module):
    def __init__(self):
        super().__init__()
        self.focal = nn.Parameter(torch.ones(4))

    def forward(self, width):
        skew = torch.zeros(4, device=self.focal.device)
        return field_of_view(self.focal, skew, width)
