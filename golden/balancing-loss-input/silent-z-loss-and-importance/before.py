import torch
from torch import nn


class Gate(nn.Module):
    def __init__(self, dim, num_experts, top_k):
        super().__init__()
        self.gate = nn.Linear(dim, num_experts, bias=False)
        self.top_k = top_k

    def router_loss(self, logits):
        return torch.logsumexp(logits, dim=-1).square().mean(dim=0)

    def aux_loss_of_size(self, logits):
        return 0.001 * logits.square().mean(dim=0).sum()

    def aux_loss_metric(self, logits, targets):
        centred = logits - targets
        return (centred * centred).mean()

    def forward(self, x, targets):
        logits = self.gate(x)
        weights, chosen = torch.softmax(logits, dim=-1).topk(self.top_k, dim=-1)
        loss = self.router_loss(logits) + self.aux_loss_of_size(logits) + self.aux_loss_metric(logits, targets)
        return weights, chosen, loss
