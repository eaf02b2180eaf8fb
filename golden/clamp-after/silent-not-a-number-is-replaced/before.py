import torch


class Normalizer:
    def update(self, value):
        mean = (1 - self.beta) * self.mean + self.beta * value.mean(0)
        square = (1 - self.beta) * self.square + self.beta * value.pow(2).mean(0)
        std = torch.sqrt(square - mean**2)
        std = torch.clamp(std, min=1e-4, max=1e6)
        std[torch.isnan(std)] = self.std[torch.isnan(std)]
        self.mean, self.square, self.std = mean, square, std
        return mean, std
