import torch
import torch.nn.functional as F
from torch import nn


class SparseMixture(nn.Module):
    def __init__(self, width, num_experts, top_k):
        super().__init__()
        self.experts = nn.ModuleList(nn.Linear(width, width) for _ in range(num_experts))
        self.gate = nn.Linear(width, num_experts)
        self.top_k = top_k

    def forward(self, tokens):
        weights, chosen = self.gate(tokens).softmax(-1).topk(self.top_k, dim=-1)
        out = torch.zeros_like(tokens)
        for number, expert in enumerate(self.experts):
            row, slot = (chosen == number).nonzero(as_tuple=True)
            out = out.index_add(0, row, expert(tokens[row]) * weights[row, slot, None])
        return out


def train(model, loader, optimizer):
    for tokens, target in loader:
        loss = F.mse_loss(model(tokens), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def main(loader, epochs):
    model = SparseMixture(64, num_experts=8, top_k=2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for _ in range(epochs):
        train(model, loader, optimizer)
