import torch
from torch import nn


class Spike(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return (x > 0).float()

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return grad / (1 + x.abs()) ** 2


class Neuron(nn.Module):
    def __init__(self, decay=0.9):
        super().__init__()
        self.decay = decay
        self.threshold = nn.Parameter(torch.tensor(1.0))

    def forward(self, current, potential):
        potential = self.decay * potential + current
        spike = Spike.apply(potential - self.threshold)
        return spike, potential - spike.detach() * potential


class Gate(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.score = nn.Linear(dim, 1)
        self.threshold = nn.Parameter(torch.tensor(0.5))

    def forward(self, x):
        score = torch.sigmoid(self.score(x))
        soft = torch.sigmoid((score - self.threshold) / 0.1)
        hard = (score > self.threshold).float()
        return x * (hard + soft - soft.detach())
