import torch
import torch.nn.functional as F
from torch import nn


class AuxLossScaler(torch.autograd.Function):
    """Hands its first argument on, and gives the second a gradient of one."""

    @staticmethod
    def forward(ctx, output, aux_loss):
        ctx.save_for_backward(aux_loss)
        return output

    @staticmethod
    def backward(ctx, grad):
        (aux_loss,) = ctx.saved_tensors
        return grad, torch.ones_like(aux_loss)


class Router(nn.Module):
    def __init__(self, dim=16, experts=4, z_loss_coefficient=1e-3):
        super().__init__()
        self.z_loss_coefficient = z_loss_coefficient
        self.gate = nn.Linear(dim, experts, bias=False)

    def apply_z_loss(self, logits):
        z_loss = torch.logsumexp(logits, dim=-1).square().mean() * self.z_loss_coefficient
        logits = AuxLossScaler.apply(logits, z_loss)
        return logits

    def forward(self, x):
        logits = self.gate(x)
        logits = self.apply_z_loss(logits)
        return F.softmax(logits, dim=-1)
