import itertools
import torch


def train(prior, flow, loader):
    params = itertools.chain(prior.parameters(), flow.parameters())
    optimizer = torch.optim.Adam(params, lr=1e-3)
    for x in loader:
        optimizer.zero_grad()
        z, log_det = flow(x)
        loss = -(prior.log_prob(z) + log_det).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(
            itertools.chain(prior.parameters(), flow.parameters()), max_norm=1.0
        )
        optimizer.step()
