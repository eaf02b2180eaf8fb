import torch
from torch import nn


def train_epoch(model, loader, optimizer, criterion, max_norm):
    model.train()
    running = 0.0
    for images, labels in loader:
        optimizer.zero_grad()
        loss = criterion(model(images), labels)
        loss.backward()
        # clip the gradients
        nn.utils.clip_grad_norm_(model.parameters(), max_norm)
        optimizer.step()
        running += loss.item()
    return running / len(loader)


if __name__ == "__main__":
    net = nn.Linear(4, 2)
    batches = [(torch.randn(8, 4), torch.randint(0, 2, (8,))) for _ in range(3)]
    train_epoch(net, batches, torch.optim.SGD(net.parameters(), lr=0.1), nn.CrossEntropyLoss(), 1.0)
