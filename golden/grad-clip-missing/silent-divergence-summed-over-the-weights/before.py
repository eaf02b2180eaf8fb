import torch
from torch import nn


class BayesianTrainer:
    def __init__(self, model, lr):
        self.model = model
        self.loss_fn = nn.MSELoss(reduction="sum")
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=lr)

    def step(self, x, y, samples, batches):
        self.optimizer.zero_grad()
        prediction, loss = self.model.sample_elbo(x, y, self.loss_fn, samples, batches)
        loss.backward()
        self.optimizer.step()
        return prediction, loss.item()

    def fit(self, loader, epochs):
        for _ in range(epochs):
            for x, y in loader:
                self.step(x, y, 2, len(loader))
