import torch
import torch.nn.functional as F
from torch import nn


class Router(nn.Module):
    def __init__(self, dim=32, experts=4):
        super().__init__()
        self.num_experts = experts
        self.gate = nn.Linear(dim, experts)

    def forward(self, x):
        router_logits = self.gate(x)
        router_probs = torch.softmax(router_logits, dim=-1)
        index = router_probs.argmax(dim=-1)
        load = F.one_hot(index, self.num_experts).float().mean(dim=(0, 1))
        aux_loss = self.num_experts * (load * router_probs.mean(dim=(0, 1))).sum()
        confident = (router_probs > 0.5).float().mean()
        return router_probs.gather(-1, index.unsqueeze(-1)), index, aux_loss, confident
