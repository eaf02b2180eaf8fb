import torch
import zuko


def train(loader, features, context, epochs=10):
    posterior = zuko.flows.NSF(features=features, context=context, transforms=5, hidden_features=[128, 128])
    optimizer = torch.optim.Adam(posterior.parameters(), lr=1e-3)
    for _ in range(epochs):
        for theta, x in loader:
            loss = -posterior(x).log_prob(theta).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return posterior
