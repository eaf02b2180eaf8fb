"""Train a classifier of many experts on generated data: `python train.py --max-steps 600`.

Readings come from several sources, and what class a reading belongs to depends on its source in a way of its own: one
expert can learn one source well, and no expert can learn them all.
"""

import argparse

import torch
import torch.nn.functional as F
from torch import nn

SOURCES, DIM, CLASSES = 8, 16, 4


class Expert(nn.Module):
    def __init__(self, dim, hidden):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(dim, hidden), nn.ReLU(), nn.Linear(hidden, dim))

    def forward(self, x):
        return self.net(x)


class SparseMoE(nn.Module):
    """Sends each reading to the experts that its router scores highest."""

    def __init__(self, dim, hidden, num_experts, top_k=1):
        super().__init__()
        self.top_k = top_k
        self.router = nn.Linear(dim, num_experts)
        self.experts = nn.ModuleList([Expert(dim, hidden) for _ in range(num_experts)])
        self.register_buffer("load", torch.zeros(num_experts))

    def forward(self, x):
        probs = F.softmax(self.router(x), dim=-1)
        weights, chosen = probs.topk(self.top_k, dim=-1)
        self.load = 0.98 * self.load + 0.02 * torch.bincount(chosen.flatten(), minlength=len(self.experts))
        out = torch.zeros_like(x)
        for e, expert in enumerate(self.experts):
            token, rank = torch.where(chosen == e)
            out = out.index_add(0, token, weights[token, rank, None] * expert(x[token]))
        return out


class Classifier(nn.Module):
    def __init__(self, dim, classes, num_experts=8):
        super().__init__()
        self.moe = SparseMoE(dim, 8, num_experts)
        self.head = nn.Linear(dim, classes)

    def forward(self, x):
        return self.head(self.moe(x))


def batch(size, centres, rules, generator):
    """Readings around the centre of their source, and the class that the rule of the source gives them."""
    source = torch.randint(SOURCES, (size,), generator=generator)
    offset = torch.randn(size, DIM, generator=generator)
    label = torch.einsum("bd,bdc->bc", offset, rules[source]).argmax(dim=-1)
    return centres[source] + offset, label


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--max-steps", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(args.seed)
    common = 8.0 * torch.randn(DIM, generator=generator)  # what all readings share, such as an uncalibrated zero
    centres = common + 3.0 * torch.randn(SOURCES, DIM, generator=generator)
    rules = torch.randn(SOURCES, DIM, CLASSES, generator=generator)

    model = Classifier(DIM, CLASSES)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    average = None
    for step in range(args.max_steps):
        readings, labels = batch(256, centres, rules, generator)
        loss = F.cross_entropy(model(readings), labels)
        average = loss.item() if average is None else 0.98 * average + 0.02 * loss.item()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 100 == 0 or step == args.max_steps - 1:
            load = model.moe.load
            variation = (load.std(correction=0) / load.mean()).item()
            print(f"step {step} loss {average:.4f} variation {variation:.3f} load {load.round().int().tolist()}")


if __name__ == "__main__":
    main()
