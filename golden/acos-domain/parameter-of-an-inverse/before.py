import torch


class Cosine:
    def forward(self, x):
        return -x.cos()

    def inverse(self, y):
        return (-y).acos()
