import torch


class RandomMask:
    def density(self, width):
        return torch.ones(width, device=self.device)

    def draw(self, x):
        density = self.density(x.shape[-1])
        density[: self.centre] = 0
        density = density / torch.sum(density)
        return torch.multinomial(density, self.lines)


class GaussianMask(RandomMask):
    def density(self, width):
        return torch.exp(-torch.linspace(-3, 3, width, device=self.device).square())
