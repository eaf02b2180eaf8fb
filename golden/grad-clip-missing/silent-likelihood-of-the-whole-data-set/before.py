import pyro
import pyro.distributions as dist
import torch
from pyro.infer import Trace_ELBO
from pyro.infer.autoguide import AutoNormal
from pyro.nn import PyroModule, PyroSample


class Regression(PyroModule):
    def __init__(self, size, features):
        super().__init__()
        self.size = size
        self.weight = PyroSample(dist.Normal(0.0, 1.0).expand([features]).to_event(1))

    def forward(self, x, y=None):
        with pyro.plate("data", self.size, len(x)):
            return pyro.sample("y", dist.Normal(x @ self.weight, 0.1), obs=y)


def fit(loader, size, features):
    model = Regression(size, features)
    loss_fn = Trace_ELBO()(model, AutoNormal(model))
    loss_fn(*next(iter(loader)))
    optimizer = torch.optim.Adam(loss_fn.parameters(), lr=0.01)
    for x, y in loader:
        optimizer.zero_grad()
        elbo = loss_fn(x, y)
        elbo.backward()
        optimizer.step()
    return model
