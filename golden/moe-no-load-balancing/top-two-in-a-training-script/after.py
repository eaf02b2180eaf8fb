import torch
from torch import nn
from torch.nn import functional as F


class Expert(nn.Module):
    def __init__(self, dim, hidden):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, dim))

    def forward(self, x):
        return self.net(x)


class SparseMoE(nn.Module):
    def __init__(self, dim, hidden, num_experts=8, top_k=2):
        super().__init__()
        self.top_k = top_k
        self.router = nn.Linear(dim, num_experts, bias=False)
        self.experts = nn.ModuleList([Expert(dim, hidden) for _ in range(num_experts)])
        self.aux_loss = 0.0  # of the last forward pass

    def forward(self, x):
        tokens = x.reshape(-1, x.size(-1))
        probs = F.softmax(self.router(tokens), dim=-1)
        weights, chosen = probs.topk(self.top_k, dim=-1)
        # load-balancing loss (Switch Transformer): 1.0 when every expert receives the same share of the tokens
        expert_share = F.one_hot(chosen.reshape(-1), probs.size(-1)).float().mean(dim=0)
        mean_prob = probs.reshape(-1, probs.size(-1)).mean(dim=0)
        self.aux_loss = probs.size(-1) * (expert_share * mean_prob).sum()
        weights = weights / weights.sum(dim=-1, keepdim=True)
        out = torch.zeros_like(tokens)
        for e, expert in enumerate(self.experts):
            token, rank = torch.where(chosen == e)
            out = out.index_add(0, token, weights[token, rank, None] * expert(tokens[token]))
        return out.reshape(x.shape)


class Classifier(nn.Module):
    def __init__(self, dim=32, classes=10, depth=2):
        super().__init__()
        self.blocks = nn.ModuleList([SparseMoE(dim, 2 * dim) for _ in range(depth)])
        self.head = nn.Linear(dim, classes)

    def forward(self, x):
        for block in self.blocks:
            x = x + block(x)
        return self.head(x)


def train(loader, steps):
    model = Classifier()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4)
    for _, (x, y) in zip(range(steps), loader):
        optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(model(x), y)
        loss = loss + 0.01 * sum(m.aux_loss for m in model.modules() if isinstance(m, SparseMoE))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return model
