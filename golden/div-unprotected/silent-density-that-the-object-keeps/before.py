import torch


class Transform:
    def adjoint(self, y):
        return self.back(y * self.density) / self.density.abs().max()
