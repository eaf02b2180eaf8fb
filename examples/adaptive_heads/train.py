"""Train the mixture of heads on generated data: `python train.py --max-steps 1000`.

`--all-heads` switches every head on and takes the router out of the game: the ablation that tells a routing problem
from every other one.
"""

import argparse

import torch

from model import Model

SIGNALS, DISTRACTORS, TARGETS = 8, 24, 4


def batch(size, teacher, generator):
    """Readings of a few informative and many uninformative sensors, and what a small fixed network makes of the
    informative ones, measured with an error."""
    signals = torch.randn(size, SIGNALS, generator=generator)
    distractors = torch.randn(size, DISTRACTORS, generator=generator)
    inner, outer = teacher
    targets = torch.tanh(signals @ inner) @ outer
    error = 0.5 * torch.randn(size, TARGETS, generator=generator)
    return torch.cat([signals, distractors], dim=-1), targets + error


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--max-steps", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--all-heads", action="store_true")
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(args.seed)
    teacher = (
        torch.randn(SIGNALS, 16, generator=generator) / SIGNALS**0.5,
        torch.randn(16, TARGETS, generator=generator),
    )

    model = Model(SIGNALS + DISTRACTORS, TARGETS, all_heads=args.all_heads)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-2)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, args.max_steps)
    average = None
    for step in range(args.max_steps):
        observed, targets = batch(256, teacher, generator)
        loss = (model(observed) - targets).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        average = loss.item() if average is None else 0.98 * average + 0.02 * loss.item()
        if step % 100 == 0 or step == args.max_steps - 1:
            print(f"step {step} loss {average:.4f}")


if __name__ == "__main__":
    main()
