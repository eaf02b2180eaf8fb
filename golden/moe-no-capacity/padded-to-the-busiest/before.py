import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence


class SwitchLayer(nn.Module):
    def __init__(self, dim, num_experts=64):
        super().__init__()
        self.num_experts = num_experts
        self.switch = nn.Linear(dim, num_experts)
        self.w_in = nn.Parameter(torch.randn(num_experts, dim, 4 * dim) * dim**-0.5)
        self.w_out = nn.Parameter(torch.randn(num_experts, 4 * dim, dim) * (4 * dim) ** -0.5)

    def forward(self, x):
        probs = self.switch(x).softmax(dim=-1)
        weight, chosen = probs.max(dim=-1)
        mine = [(chosen == e).nonzero(as_tuple=True)[0] for e in range(self.num_experts)]
        padded = pad_sequence([x[m] for m in mine], batch_first=True)
        made = torch.bmm(torch.bmm(padded, self.w_in).relu(), self.w_out)
        out = torch.zeros_like(x)
        for e, m in enumerate(mine):
            out[m] = weight[m, None] * made[e, : len(m)]
        return out
