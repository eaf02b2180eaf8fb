import torch
from torch import nn


def evaluate(encoder, loader, width, classes):
    probe = nn.Linear(width, classes).cuda()
    optimizer = torch.optim.SGD(probe.parameters(), lr=0.1, momentum=0.9)
    for images, labels in loader:
        with torch.no_grad():
            features = encoder(images)
        loss = nn.functional.cross_entropy(probe(features), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
