"""Train the flow on generated trajectories: `python train.py --max-steps 300`.

Sensors drop out now and then, and a few readings are far off: ordinary data.
"""

import argparse

import torch

from model import Encoder, Flow


def batch(size, generator):
    """Damped oscillations, 24 time steps of 4 sensors; one trajectory in fifty has spikes."""
    time = torch.linspace(0, 3, 24)
    phase = torch.rand(size, 4, 1, generator=generator) * 6.28
    waves = torch.sin(2.0 * time + phase) * torch.exp(-0.3 * time)
    spikes = (torch.rand(size, 1, 1, generator=generator) < 0.02) * 5.0
    return (waves + spikes * torch.randn(size, 4, 24, generator=generator)).transpose(1, 2)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--max-steps", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(args.seed)

    encoder, flow = Encoder(observed=4, latent=8), Flow(dim=8 + 4)
    parameters = list(encoder.parameters()) + list(flow.parameters())
    optimizer = torch.optim.Adam(parameters, lr=1e-2)

    for step in range(args.max_steps):
        trajectory = batch(128, generator)
        latent, kl = encoder(trajectory)
        log_prob = flow.log_prob(torch.cat([latent, trajectory[:, -1]], dim=-1))
        loss = (0.1 * kl - log_prob).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 25 == 0 or step == args.max_steps - 1:
            print(f"step {step} loss {loss.item():.4f}")


if __name__ == "__main__":
    main()
