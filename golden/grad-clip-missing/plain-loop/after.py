import torch
from torch import nn


def train(loader, epochs):
    model = nn.GRU(16, 32, batch_first=True)
    head = nn.Linear(32, 4)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    criterion = nn.CrossEntropyLoss()
    for epoch in range(epochs):
        for x, y in loader:
            optimizer.zero_grad()
            out, _ = model(x)
            loss = criterion(head(out[:, -1]), y)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
            # the weights move here
            optimizer.step()
