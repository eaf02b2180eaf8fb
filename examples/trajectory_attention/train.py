"""Train the classifier on generated trajectories: `python train.py --max-steps 200`.

Trajectories have different lengths, and now and then a sensor recorded nothing at all.
"""

import argparse

import torch

from model import Classifier, loss_of


def batch(size, generator, length=20):
    """Three kinds of motion, observed 0 to `length` times; returns observations, padding and labels."""
    labels = torch.randint(0, 3, (size,), generator=generator)
    time = torch.linspace(0, 3, length)
    speed = 1.0 + 2.0 * labels[:, None].float()
    signal = torch.stack([torch.sin(speed * time), torch.cos(speed * time)], dim=-1)
    observed = signal + 0.1 * torch.randn(size, length, 2, generator=generator)
    lengths = torch.randint(8, length + 1, (size,), generator=generator)
    lengths = torch.where(torch.rand(size, generator=generator) < 0.001, 0, lengths)
    padding = torch.arange(length) >= lengths[:, None]
    return observed.masked_fill(padding[..., None], 0.0), padding, labels


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--max-steps", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(args.seed)

    model = Classifier(observed=2, classes=3)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=3e-3, total_steps=max(args.max_steps, 2))

    for step in range(args.max_steps):
        observed, padding, labels = batch(64, generator)
        loss = loss_of(model(observed, padding), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        if step % 20 == 0 or step == args.max_steps - 1:
            print(f"step {step} loss {loss.item():.4f}")


if __name__ == "__main__":
    main()
