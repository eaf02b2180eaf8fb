import pyro
import torch


def fit(loss_fn, optim, params, steps):
    for _ in range(steps):
        optim.zero_grad()
        loss = loss_fn()
        loss.backward()
        optim(params)
        try:
            optim.step()
        except AttributeError:
            pass
