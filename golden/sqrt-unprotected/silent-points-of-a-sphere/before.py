import math

import torch


class Sphere:
    def spread(self, n=None, density=None):
        if density:
            n = self.number_of_points(density)
        index = torch.arange(0, n)
        y = 1 - index / (n - 1) * 2
        radius = torch.sqrt(1 - y**2)
        angle = math.pi * (3.0 - math.sqrt(5.0)) * index
        return torch.stack((radius * torch.cos(angle), y, radius * torch.sin(angle)), dim=1)
