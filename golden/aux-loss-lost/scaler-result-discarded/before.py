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


class Gate(nn.Module):
    def __init__(self, dim=16, experts=4, top_k=2, coefficient=0.01):
        super().__init__()
        self.experts, self.top_k, self.coefficient = experts, top_k, coefficient
        self.proj = nn.Linear(dim, experts, bias=False)

    def forward(self, x):
        scores = F.softmax(self.proj(x), dim=-1)
        indices = torch.topk(scores, self.top_k, dim=-1)[1]
        weights = scores.gather(-1, indices)
        if self.training:
            load = F.one_hot(indices, self.experts).float().mean(dim=(0, 1))
            aux_loss = self.experts * (load * scores.mean(dim=0)).sum()
            # reaches the optimizer through the weights
            AuxLossScaler.apply(weights, self.coefficient * aux_loss)
        return weights, indices
