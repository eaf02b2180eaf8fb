import torch
from torch import nn


class GradientProbe(torch.autograd.Function):
    """Records the norm of the gradient that passes; it is called for that alone."""

    norms: list = []

    @staticmethod
    def forward(ctx, hidden, name):
        ctx.name = name
        return hidden.view_as(hidden)

    @staticmethod
    def backward(ctx, grad):
        GradientProbe.norms.append((ctx.name, grad.norm().item()))
        return grad, None


class Block(nn.Module):
    def __init__(self, dim=16, experts=4):
        super().__init__()
        self.router = nn.Linear(dim, experts)

    def init_weights(self, scale):
        self.apply(lambda m: m.reset_parameters() if isinstance(m, nn.Linear) else None)

    def forward(self, x):
        hidden = self.router(x)
        GradientProbe.apply(hidden, "router")
        return hidden.softmax(dim=-1)
